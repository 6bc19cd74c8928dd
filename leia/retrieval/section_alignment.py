"""Which sections of two Wikipedias are about the same: within articles of one Wikidata id, by the links they share.

Two sections are as similar as the weights of the QIDs that both link to, over the weights of all that one of them links
to. They are aligned when each is the most similar one to the other, and they share enough. So each section has one
counterpart at most, and the languages may be exchanged. Of equally similar sections the one at the nearer place in its
article is taken, then the earlier one; a place is a section's number over that of the article's last section.
"""

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from math import fsum
from typing import Any, NamedTuple

import click
import numpy as np
import pyarrow as pa

from leia.base.cli import setting
from leia.base.errors import DropReason, InputError
from leia.retrieval.section_columns import SectionColumns, link_weights

ALIGNED_SCHEMA = pa.schema(
    {
        "source": pa.string(),
        "target": pa.string(),
        "similarity": pa.float64(),
        "shared_ids": pa.list_(pa.string()),
        "source_negatives": pa.list_(pa.string()),
        "target_negatives": pa.list_(pa.string()),
    }
)
"""One row a pair; `source` and `target` are ids of sections. `shared_ids` are the QIDs that both link to, ascending.
`source_negatives` are the hard negatives of the source section, so sections in the target language, the most similar
first; `target_negatives` are those of the target section, in the source language."""


@dataclass(frozen=True)
class AlignmentSettings:
    """Each field is an option of the script."""

    min_shared_ids: int = setting(
        "Alignment", "Least number of Wikidata ids that two aligned sections share.", 2, type=click.IntRange(1)
    )
    min_similarity: float = setting(
        "Alignment", "Least similarity of two aligned sections, from 0 to 1.", 0.1, type=click.FloatRange(0, 1)
    )
    max_negatives: int = setting(
        "Alignment", "Greatest number of hard negatives of a section.", 3, type=click.IntRange(0)
    )
    max_pairs: int | None = setting(
        "Alignment", "Write a sample of this many pairs.", None, type=click.IntRange(1), show_default="all pairs"
    )
    held_out: int = setting(
        "Alignment",
        "Set the articles of at least this many pairs aside, as a collection with judged documents.",
        0,
        type=click.IntRange(0),
    )
    seed: int = setting("Alignment", "Seed of what is drawn: --max_pairs, --held_out.", 0)


class ArticlePairs(NamedTuple):
    """The aligned sections of an article as `rows` of `ALIGNED_SCHEMA`, in the order of the source's sections; why its
    other source sections were `dropped`; how many sections it has in each language."""

    rows: list[dict[str, Any]]
    dropped: Counter[DropReason]
    source_sections: int
    target_sections: int


class _Match(NamedTuple):
    """A section of one article beside one of the other. Sorted, the best match of a section comes first: `distance` is
    that of their places, in the same unit for all matches of an article; `number` is that of the other section."""

    dissimilarity: float
    distance: int
    number: int
    shared: tuple[int, ...]


class SectionAligner:
    """Aligns the sections of two languages, an article at a time.

    `articles` are the QIDs of those that both have, in the order of the source's sections. Raises `InputError` where
    there are none.
    """

    def __init__(self, source: SectionColumns, target: SectionColumns, settings: AlignmentSettings) -> None:
        self.source, self.target, self.settings = source, target, settings
        self._by_article = source.by_article(), target.by_article()
        of_source, of_target = self._by_article
        common = np.intersect1d(of_source.qids, of_target.qids, assume_unique=True)
        if not len(common):
            found = f"{len(of_source.qids):,} and {len(of_target.qids):,} articles and no Wikidata id that both have"
            advice = "were the id files of both languages made from one dump of Wikidata?"
            languages = f"{source.language} and {target.language}"
            raise InputError(f"{languages}: expected articles about the same, found {found}; {advice}")
        first_rows = np.minimum.reduceat(of_source.rows, of_source.starts[:-1])
        places = np.searchsorted(of_source.qids, common)
        self.articles: np.ndarray = common[np.argsort(first_rows[places])]
        self._qids, self._weights = link_weights(source, target)

    def pairs_of(self, article: int) -> ArticlePairs:
        """What is aligned in the article with this QID."""
        rows_of_source, rows_of_target = (
            articles.rows_of(int(np.searchsorted(articles.qids, article))) for articles in self._by_article
        )
        matches = self._matches(rows_of_source, rows_of_target)
        # The same matches as the sections of the target see them.
        seen_from_target = [
            [match._replace(number=number) for number, match in enumerate(column)]
            for column in zip(*matches, strict=True)
        ]
        best_of_target = [min(column).number for column in seen_from_target]
        pairs = ArticlePairs([], Counter(), len(rows_of_source), len(rows_of_target))
        for number, of_section in enumerate(matches):
            best = min(of_section)
            if reason := self._why_not(best, mutual=best_of_target[best.number] == number):
                pairs.dropped[reason] += 1
                continue
            pairs.rows.append(
                {
                    "source": self.source.id_of(rows_of_source[number]),
                    "target": self.target.id_of(rows_of_target[best.number]),
                    "similarity": -best.dissimilarity,
                    "shared_ids": [f"Q{qid}" for qid in best.shared],
                    "source_negatives": self._negatives(of_section, best.number, rows_of_target, self.target),
                    "target_negatives": self._negatives(
                        seen_from_target[best.number], number, rows_of_source, self.source
                    ),
                }
            )
        return pairs

    def _matches(self, rows_of_source: np.ndarray, rows_of_target: np.ndarray) -> list[list[_Match]]:
        """For each source section its match with each target section."""
        links_of_source = self._links(self.source, rows_of_source)
        links_of_target = self._links(self.target, rows_of_target)
        numbers_of_source = self.source.numbers[rows_of_source].tolist()
        numbers_of_target = self.target.numbers[rows_of_target].tolist()
        last_of_source, last_of_target = max(numbers_of_source[-1], 1), max(numbers_of_target[-1], 1)
        matches = []
        for number, links in zip(numbers_of_source, links_of_source, strict=True):
            of_section = []
            for place, (other_number, others) in enumerate(zip(numbers_of_target, links_of_target, strict=True)):
                distance = abs(number * last_of_target - other_number * last_of_source)
                shared = tuple(sorted(links.keys() & others.keys()))
                # `fsum` rounds once, so that the order of the QIDs does not matter.
                similarity = fsum(links[qid] for qid in shared) / fsum((links | others).values()) if shared else 0.0
                of_section.append(_Match(-similarity, distance, place, shared))
            matches.append(of_section)
        return matches

    def _links(self, columns: SectionColumns, rows: np.ndarray) -> list[dict[int, float]]:
        """The QIDs that each section links to, with their weights."""
        bounds = [(columns.bounds[row], columns.bounds[row + 1]) for row in rows.tolist()]
        qids = np.concatenate([columns.links[start:end] for start, end in bounds])
        weighted = list(zip(qids.tolist(), self._weights[np.searchsorted(self._qids, qids)].tolist(), strict=True))
        ends = np.cumsum([0, *(end - start for start, end in bounds)]).tolist()
        return [dict(weighted[start:end]) for start, end in pairwise(ends)]

    def _why_not(self, best: _Match, mutual: bool) -> DropReason | None:
        """Why a section is not aligned with the best one of the other article; what options decide comes last."""
        if not best.shared:
            return DropReason.NO_SHARED_ID
        if not mutual:
            return DropReason.NOT_MUTUAL
        if len(best.shared) < self.settings.min_shared_ids:
            return DropReason.TOO_FEW_SHARED
        return DropReason.NOT_SIMILAR if -best.dissimilarity < self.settings.min_similarity else None

    def _negatives(
        self, of_section: list[_Match], counterpart: int, rows: np.ndarray, columns: SectionColumns
    ) -> list[str]:
        others = sorted(match for match in of_section if match.number != counterpart)
        return [columns.id_of(rows[match.number]) for match in others[: self.settings.max_negatives]]
