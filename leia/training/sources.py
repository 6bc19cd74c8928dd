"""What a stream of blocks is made of: a dataset and how names are put into it; or several such sources with weights.

In a configuration `sources` lists them, each with what differs from the settings above it:

    entity_name_insertion_prob: 0.5
    sources:
      - {name: spanish, wikipedia_dataset_dir: work/es/dataset, weight: 0.9}
      - {name: english, wikipedia_dataset_dir: work/en/dataset, weight: 0.1, entity_name_insertion_strategy: none}
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import yaml

from leia.base.cli import setting
from leia.base.errors import UsageError
from leia.data.insertion import STRATEGIES, WHERE
from leia.data.mixing import whole_weights
from leia.data.name_tags import ENTITY_NAME_TAGS, TagPair, check_tags
from leia.data.switching import LANGUAGE_CHOICES, Switching
from leia.training.settings import Parser, words_of


@dataclass(frozen=True, kw_only=True)
class Source:
    """The settings of one source. Each is an option of scripts/train.py. Raises `UsageError` for bad values."""

    wikipedia_dataset_dir: str = setting("Data", "The dataset folder of build_wikipedia_dataset.py.", "")
    entity_name_insertion_strategy: str = setting("Names", WHERE, "right")
    entity_name_insertion_prob: float = setting("Names", "The probability that a name is inserted.", 0.5)
    no_separator_tokens: bool = setting("Names", "Insert names without the two tags, which stay unknown then.", False)
    entity_name_start_tag: str = setting("Names", "The tag before a name.", ENTITY_NAME_TAGS[0])
    entity_name_end_tag: str = setting("Names", "The tag after a name.", ENTITY_NAME_TAGS[1])

    switch_unit: str = setting(
        "Names in several languages", "What shares one language: article, sentence or entity.", "article"
    )
    candidates: str = setting(
        "Names in several languages",
        "Languages that may be drawn: those that name any entity of a unit, or all.",
        "any",
    )
    language_choice: str = setting(
        "Names in several languages",
        "How one is drawn: uniform, or sqrt, by the square roots of how many units each could switch.",
        "uniform",
    )
    switch_probability: float = setting("Names in several languages", "That a unit has names at all.", 1.0)

    def __post_init__(self) -> None:
        Switching(self.switch_unit, self.candidates, self.switch_probability)
        if self.language_choice not in LANGUAGE_CHOICES:
            raise UsageError(
                f"language_choice is {self.language_choice}; expected one of {', '.join(LANGUAGE_CHOICES)}"
            )
        strategy = self.entity_name_insertion_strategy
        if strategy not in STRATEGIES:
            raise UsageError(f"entity_name_insertion_strategy is {strategy}; expected one of {', '.join(STRATEGIES)}")
        if not 0 <= self.entity_name_insertion_prob <= 1:
            raise UsageError(f"entity_name_insertion_prob is {self.entity_name_insertion_prob}; expected 0 to 1")
        check_tags(self.tags)

    @property
    def tags(self) -> TagPair:
        return self.entity_name_start_tag, self.entity_name_end_tag


@dataclass(frozen=True, kw_only=True)
class ListedSource(Source):
    """One of `sources`: `name` in the log, and the part of all blocks that it gives (`weight` over the sum of all)."""

    name: str = ""
    weight: float = 1.0


def read_sources(listed: str, settings: Source) -> list[ListedSource]:
    """The sources of `listed` (YAML), each with `settings` where it has none of its own; where nothing is listed the
    one of `settings`, without a name. Raises `UsageError`."""
    given = {field.name: getattr(settings, field.name) for field in fields(Source)}
    if not listed:
        return [ListedSource(**given)]
    del given["wikipedia_dataset_dir"]
    try:
        entries = yaml.safe_load(listed)
    except yaml.YAMLError as error:
        raise UsageError(f"sources is not valid YAML ({error})") from error
    if not (entries and isinstance(entries, list) and all(isinstance(entry, Mapping) for entry in entries)):
        raise UsageError(f"sources is {listed}; expected a list of {{name: ..., wikipedia_dataset_dir: ...}}")
    sources = [_read(number, entry, given) for number, entry in enumerate(entries, 1)]
    for source in sources:
        if not (re.fullmatch(r"[\w.-]+", source.name) and [one.name for one in sources].count(source.name) == 1):
            raise UsageError(
                f"sources: a name is {source.name!r}; expected a different one for each source, of letters and digits"
            )
    openings, closings = ({pair[side] for pair in tag_pairs_of(sources)} for side in (0, 1))
    if both := sorted(openings & closings):
        raise UsageError(f"sources: {both[0]} stands before names in one source and after names in another")
    try:
        whole_weights([source.weight for source in sources])
    except ValueError as error:
        raise UsageError(f"sources: {error}") from error
    return sources


def _read(number: int, entry: Mapping[str, Any], given: Mapping[str, Any]) -> ListedSource:
    where = f"sources, {entry.get('name') or number}"
    known = [field.name for field in fields(ListedSource)]
    if unknown := [str(name) for name in entry if name not in known]:
        raise UsageError(f"{where}: there is no setting {unknown[0]}; expected some of {', '.join(known)}")
    for name in ("name", "wikipedia_dataset_dir"):
        if not entry.get(name):
            raise UsageError(f"{where}: has no {name}; each source needs one")
    if lists := [name for name, value in entry.items() if isinstance(value, list | Mapping)]:
        raise UsageError(f"{where}: {lists[0]} is {entry[lists[0]]}; expected one value")
    own = {name: value for name, value in entry.items() if value is not None}
    try:
        return ListedSource(**vars(Parser(ListedSource).parse_args(words_of({**given, **own}))))
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from error


def tag_pairs_of(sources: Sequence[Source]) -> list[TagPair]:
    """The tags that the names of `sources` stand between, each pair once."""
    return list(dict.fromkeys(source.tags for source in sources if not source.no_separator_tokens))
