"""What the build made of each link of an article: an entity of the training dataset, or none, and why."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from leia.base.datasets import EncodedArticle, open_articles
from leia.base.errors import DropReason, InputError, UsageError
from leia.base.step import Counts
from leia.data.alignment import Aligner, drop_reason
from leia.data.name_choice import NameChoice
from leia.data.names import EntityNames, name_or_reason, own_name_key

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True, slots=True)
class ExplainedLink:
    """A link to the page `title` on the tokens from `start` to `end` (end exclusive).

    With `reason` None it is the article's entity of the number `entity`, which covers exactly these tokens; otherwise
    each of them holds a part of it.
    """

    start: int
    end: int
    entity: int | None
    title: str
    qid: str | None
    name: str | None
    reason: DropReason | None


class LinkExplainer:
    """Explains the links of a training dataset, article by article, from the articles that it was made of.

    `manifest` is that of the training dataset, `tokenizer` is without the tags, as the build had it.
    """

    def __init__(
        self,
        preprocessed_dataset_dir: str,
        wikidata_id_file: str,
        tokenizer: PreTrainedTokenizerBase,
        manifest: Mapping[str, Any] | None,
    ) -> None:
        self._folder = preprocessed_dataset_dir
        self._rows = open_articles(preprocessed_dataset_dir)
        self._names = _names_of_build(manifest, wikidata_id_file, self._rows)
        self._max_length = (manifest or {}).get("options", {}).get("max_length")
        self._aligner = Aligner(deepcopy(tokenizer))
        self.language: str = self._rows[0]["language"]

    def explain(self, row: int, article: EncodedArticle) -> list[ExplainedLink]:
        """The links of the article, in the order of its text.

        Raises `InputError` when `article` was not made from this row with these names.
        """
        ids, links = self._links(self._rows[row]) if row < len(self._rows) else (None, [])
        kept = [link for link in links if link.reason is None]
        names = self._aligner.tokenize_names([link.name or "" for link in kept])
        entities = ([link.start for link in kept], [link.end for link in kept], names)
        expected = (article.start_positions, article.end_positions, [name.tolist() for name in article.names])
        if ids != article.input_ids.tolist() or entities != expected:
            raise InputError(
                f"{self._folder}: its article {row} is not what the training dataset was made from; name the folder "
                "and the id file that build_wikipedia_dataset.py read"
            )
        return links

    def _links(self, source: Mapping[str, Any]) -> tuple[list[int], list[ExplainedLink]]:
        """The token ids of a preprocessed article, and its links."""
        text, anchors = source["text"], source["anchors"]
        ids = self._aligner.tokenize([text])[0]
        positions = np.array([anchor["start"] for anchor in anchors] + [anchor["end"] for anchor in anchors], np.int64)
        first, last = self._aligner.find_tokens(text, ids, positions).reshape(2, -1).tolist()
        end = len(ids)
        if self._max_length is not None and len(ids) > self._max_length:
            end = self._aligner.cut(ids, self._max_length)
        offsets = self._aligner.offsets(text)[:end]
        links, numbers = [], count()
        for anchor, start, stop in zip(anchors, first, last, strict=True):
            own = anchor.get("name")
            found = name_or_reason(self._names, anchor["wikidata_id"] if own is None else own_name_key(own))
            name, reason = (None, found) if isinstance(found, DropReason) else (found, drop_reason(start, stop, end))
            if reason is not None:
                touched = np.flatnonzero((offsets[:, 1] > anchor["start"]) & (offsets[:, 0] < anchor["end"]))
                start, stop = (int(touched[0]), int(touched[-1]) + 1) if len(touched) else (end, end)
            entity = next(numbers) if reason is None else None
            links.append(
                ExplainedLink(
                    start,
                    stop,
                    entity,
                    anchor["title"] or own or anchor["wikidata_id"] or "",
                    anchor["wikidata_id"],
                    name,
                    reason,
                )
            )
        return ids, links


def _names_of_build(manifest: Mapping[str, Any] | None, wikidata_id_file: str, articles: "Dataset") -> EntityNames:
    """The names by which the dataset with this manifest was built. Raises `UsageError` for those of a file or in
    several languages, whose files are not asked for."""
    choice = NameChoice.of_manifest(manifest)
    if choice.names_file is not None or len(choice.languages) > 1:
        what = "a file" if choice.names_file else "several languages"
        raise UsageError(
            f"links to names of {what} are not explained; leave --preprocessed_dataset_dir and --wikidata_id_file out"
        )
    return choice.read([wikidata_id_file], articles, Counts())[choice.languages[0]]
