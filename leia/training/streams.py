"""The blocks that a run trains on and is evaluated on: its sources opened, each as a stream, several of them mixed."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from datasets import Dataset
from torch import tensor
from transformers import PreTrainedTokenizerBase

from leia.base.datasets import open_training_dataset
from leia.base.errors import InputError
from leia.base.step import read_manifest
from leia.data.mixing import MixedDataset
from leia.data.name_spaces import Spaces
from leia.data.name_tags import ENTITY_NAME_TAGS, tag_ids
from leia.data.packing import LeiaConstantLengthDataset
from leia.data.suitability import article_end
from leia.data.switching import Switching, weights_of
from leia.data.tokenizers import check_dataset
from leia.training.experiment import Experiment
from leia.training.sources import ListedSource, Source
from leia.training.validation import Block, hold_out

Stream = LeiaConstantLengthDataset | MixedDataset


@dataclass(frozen=True)
class OpenSource:
    """A source with the dataset in its folder, and that dataset's manifest (None where there is none)."""

    settings: ListedSource
    dataset: Dataset
    manifest: dict[str, Any] | None

    def identity(self) -> dict[str, Any]:
        """What must be the same when a run is continued."""
        settings = asdict(self.settings)
        later = {}  # settings that runs did not have once, where they are on
        tags = [] if self.settings.no_separator_tokens else list(self.settings.tags)
        if tags != list(ENTITY_NAME_TAGS):
            later["entity_name_tags"] = tags
        switching = ("switch_unit", "candidates", "language_choice", "switch_probability")
        later |= {name: settings[name] for name in switching if settings[name] != getattr(Source, name)}
        own = ("entity_name_insertion_strategy", "entity_name_insertion_prob", "no_separator_tokens")
        return {"dataset": self.dataset._fingerprint, **{name: settings[name] for name in own}, **later}

    def describe(self, articles: str) -> str:
        """`articles`: what is to be said of them."""
        source = self.settings
        strategy = source.entity_name_insertion_strategy
        probability = "" if strategy == "none" else f", probability {source.entity_name_insertion_prob}"
        if source.no_separator_tokens:
            probability += ", without tags"
        elif source.tags != ENTITY_NAME_TAGS:
            probability += f", between {' and '.join(source.tags)}"
        if languages := (self.manifest or {}).get("options", {}).get("name_languages"):
            probability += f", in {', '.join(languages)}, one for each {source.switch_unit}"
        return f"{len(self.dataset):,} articles{articles}; names: {strategy}{probability}"


def open_sources(experiment: Experiment) -> list[OpenSource]:
    """Raises `InputError` for a folder without a dataset, or with one that has no article."""
    listed = experiment.listed_sources()
    folders = [source.wikipedia_dataset_dir for source in listed]
    return [
        OpenSource(source, open_training_dataset(folder), read_manifest(folder))
        for source, folder in zip(listed, folders, strict=True)
    ]


def identity_of(sources: Sequence[OpenSource]) -> dict[str, Any]:
    """Of one source without a name what runs had before there were several, else each one's with its weight."""
    if not sources[0].settings.name:
        return sources[0].identity()
    return {"sources": {one.settings.name: {"weight": one.settings.weight, **one.identity()} for one in sources}}


def manifest_of(sources: Sequence[OpenSource]) -> dict[str, Any] | None:
    """The manifest of the dataset; of several sources those of all, by name."""
    if not sources[0].settings.name:
        return sources[0].manifest
    return {"sources": {one.settings.name: one.manifest for one in sources}}


def check_sources(sources: Sequence[OpenSource], tokenizer: PreTrainedTokenizerBase, read_ids: bool) -> None:
    """Raise `InputError` unless the ids of each dataset are those of `tokenizer`."""
    for source in sources:
        check_dataset(source.dataset, tokenizer, source.manifest, source.settings.wikipedia_dataset_dir, read_ids)


def describe(sources: Sequence[OpenSource], experiment: Experiment) -> str:
    """A line for each source."""
    held_out = f", {experiment.validation_articles:,} of them held out" if experiment.validation_articles else ""
    held_out += ", EOS after each" if experiment.separate_articles else ""
    held_out += ", attention within each" if experiment.separate_attention else ""
    held_out += ", epochs apart" if experiment.separate_epochs else ""
    if not sources[0].settings.name:
        return sources[0].describe(held_out)
    weights = sum(one.settings.weight for one in sources)
    shares = (f"{one.settings.name}, {one.settings.weight / weights:.1%} of the blocks" for one in sources)
    return "\n".join(f"{share}: {one.describe(held_out)}" for share, one in zip(shares, sources, strict=True))


def make_streams(
    sources: Sequence[OpenSource], experiment: Experiment, tokenizer: PreTrainedTokenizerBase, seed: int
) -> tuple[Stream, list[Block]]:
    """The stream to train on, and the blocks of the articles that are held out of each source, for evaluation.

    `tokenizer` has the tags of all sources. Those blocks have names inserted as in training, by draws that no seed
    changes. Raises `InputError` where the articles held out of a source hold no block.
    """
    if not sources[0].settings.name:
        return _make_stream(sources[0], experiment, tokenizer, seed)
    made, held_out = {}, []
    for number, source in enumerate(sources):
        name = source.settings.name
        try:
            made[name], blocks = _make_stream(source, experiment, tokenizer, seed)
        except InputError as error:
            raise InputError(f"sources, {name}: {error}") from error
        held_out += [block | {"source": tensor(number)} for block in blocks]
    return MixedDataset(made, [one.settings.weight for one in sources]), held_out


def _make_stream(
    source: OpenSource, experiment: Experiment, tokenizer: PreTrainedTokenizerBase, seed: int
) -> tuple[LeiaConstantLengthDataset, list[Block]]:
    """The stream of one source, and the blocks of the articles that are held out of it."""
    settings = stream_settings(source, experiment, tokenizer)
    training, kept = hold_out(source.dataset, experiment.validation_articles)
    stream = LeiaConstantLengthDataset(training, shuffle=True, seed=seed, **settings)
    if kept is None:
        return stream, []
    one_epoch = {**settings, "separate_epochs": False}  # which would refuse too few articles in other words
    blocks = LeiaConstantLengthDataset(kept, seed=0, **one_epoch).first_epoch()
    if not blocks:
        raise InputError(
            f"validation_articles is {experiment.validation_articles}: these hold less than one block of "
            f"{experiment.max_length} tokens; take more"
        )
    return stream, blocks


def stream_settings(
    opened: OpenSource, experiment: Experiment, tokenizer: PreTrainedTokenizerBase
) -> Mapping[str, Any]:
    """What a `LeiaConstantLengthDataset` of this source is made with; `tokenizer` has its tags."""
    source, manifest = opened.settings, opened.manifest
    opening, closing = (-1, -1) if source.no_separator_tokens else tag_ids(tokenizer, source.tags)
    in_text = bool((manifest or {}).get("options", {}).get("names_in_text"))
    weights = weights_of(source.language_choice, source.switch_unit, source.candidates, manifest)
    return {
        "spaces": Spaces.of(tokenizer) if source.no_separator_tokens and in_text else None,
        "switching": Switching(source.switch_unit, source.candidates, source.switch_probability, weights),
        "max_length": experiment.max_length,
        "entity_name_start_token_id": opening,
        "entity_name_end_token_id": closing,
        "entity_name_insertion_prob": source.entity_name_insertion_prob,
        "entity_name_insertion_strategy": source.entity_name_insertion_strategy,
        "no_separator_tokens": source.no_separator_tokens,
        "article_end_token_id": article_end(tokenizer, experiment.separate_articles),
        "separate_attention": experiment.separate_attention,
        "separate_epochs": experiment.separate_epochs,
    }
