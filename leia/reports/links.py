"""What the build made of each link of an article: an entity of the training dataset, or none, and why."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from leia.base.datasets import EncodedArticle, open_articles
from leia.base.errors import DropReason, InputError
from leia.base.step import Counts
from leia.data.alignment import Aligner, drop_reason
from leia.data.encoding import distinct_qids
from leia.data.names import NameRule, PivotTitles, read_pivot_titles

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class ExplainedLink:
    """A link to the page `title` on the tokens from `start` to `end` (end exclusive).

    With `reason` None it is an entity, which covers exactly these tokens; otherwise each of them holds a part of it.
    """

    start: int
    end: int
    title: str
    qid: str | None
    name: str | None
    reason: DropReason | None


class LinkExplainer:
    """Explains the links of a training dataset, article by article, from the preprocessed dataset that it was made
    from."""

    def __init__(
        self, preprocessed: "Dataset", aligner: Aligner, titles: PivotTitles, max_length: int | None, folder: str
    ) -> None:
        """`max_length` is that of the build; `folder` names the preprocessed dataset in errors."""
        self._rows = preprocessed
        self._aligner = aligner
        self._titles = titles
        self._max_length = max_length
        self._folder = folder

    @classmethod
    def open(
        cls,
        preprocessed_dataset_dir: str,
        wikidata_id_file: str,
        tokenizer: "PreTrainedTokenizerBase",
        manifest: Mapping[str, Any] | None,
    ) -> "LinkExplainer":
        """For the training dataset with this `manifest`, whose options are those of the build; `tokenizer` without the
        tags, as the build had it."""
        rows = open_articles(preprocessed_dataset_dir)
        rule = NameRule.of_manifest(manifest)
        titles = read_pivot_titles(wikidata_id_file, distinct_qids(rows), rule, Counts())
        max_length = (manifest or {}).get("options", {}).get("max_length")
        return cls(rows, Aligner(deepcopy(tokenizer)), titles, max_length, preprocessed_dataset_dir)

    @property
    def language(self) -> str:
        """The language of the articles."""
        return self._rows[0]["language"] if len(self._rows) else ""

    def explain(self, row: int, article: EncodedArticle) -> list[ExplainedLink]:
        """The links of the article, in the order of its text.

        Raises `InputError` when `article` was not made from this row with these names.
        """
        if row >= len(self._rows):
            raise self._mismatch(row)
        source = self._rows[row]
        text, anchors = source["text"], source["anchors"]
        ids = self._aligner.tokenize([text])[0]
        positions = np.array([anchor["start"] for anchor in anchors] + [anchor["end"] for anchor in anchors], np.int64)
        first, last = self._aligner.find_tokens(text, ids, positions).reshape(2, -1).tolist()
        end = len(ids)
        if self._max_length is not None and len(ids) > self._max_length:
            end = self._aligner.cut(ids, self._max_length)
        offsets = self._aligner.offsets(text)[:end]
        links = [
            self._explain(anchor, start, stop, end, offsets)
            for anchor, start, stop in zip(anchors, first, last, strict=True)
        ]
        if ids != article.input_ids.tolist() or self._entities(links) != _entities_of(article):
            raise self._mismatch(row)
        return links

    def _explain(self, anchor: dict[str, Any], start: int, stop: int, end: int, offsets: np.ndarray) -> ExplainedLink:
        """The link of `anchor` from the tokens `start` to `stop`; the article's tokens end at `end`."""
        name, reason = self._titles.name_of(anchor["wikidata_id"])
        reason = reason or drop_reason(start, stop, end)
        if reason is not None:
            touched = np.flatnonzero((offsets[:, 1] > anchor["start"]) & (offsets[:, 0] < anchor["end"]))
            start, stop = (int(touched[0]), int(touched[-1]) + 1) if len(touched) else (end, end)
        return ExplainedLink(start, stop, anchor["title"], anchor["wikidata_id"], name, reason)

    def _entities(self, links: list[ExplainedLink]) -> list[tuple[int, int, list[int]]]:
        kept = [link for link in links if link.reason is None]
        names = self._aligner.tokenize_names([link.name or "" for link in kept])
        return [(link.start, link.end, ids) for link, ids in zip(kept, names, strict=True)]

    def _mismatch(self, row: int) -> InputError:
        return InputError(
            f"{self._folder}: its article {row} is not what the training dataset was made from; name the folder and "
            "the id file that build_wikipedia_dataset.py read"
        )


def _entities_of(article: EncodedArticle) -> list[tuple[int, int, list[int]]]:
    names = [ids.tolist() for ids in article.names]
    return list(zip(article.start_positions, article.end_positions, names, strict=True))
