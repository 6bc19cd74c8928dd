"""The aligned sections of two languages as a stream: which are held out, which are drawn, and how many there are."""

import heapq
import random
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from xxhash import xxh3_64_intdigest

from leia.base.cli import progress
from leia.base.errors import DropReason, InputError
from leia.base.step import Step, Tally
from leia.retrieval.section_alignment import ALIGNED_SCHEMA, AlignmentSettings, ArticlePairs, SectionAligner
from leia.retrieval.section_columns import read_columns

_ROWS_PER_BATCH = 10_000
_BINS = 10
_WIDTH = 40  # characters of the longest bar of the histogram
_OPTIONS = {DropReason.TOO_FEW_SHARED: "--min_shared_ids", DropReason.NOT_SIMILAR: "--min_similarity"}


def align_sections(
    source: str | Path, target: str | Path, settings: AlignmentSettings, step: Step
) -> Iterator[pa.RecordBatch]:
    """Yield batches of `ALIGNED_SCHEMA` with the aligned sections of two datasets of sections, given as their folders.

    They are in the order of the source's sections. `step` counts the source sections, and gets as facts and notes how
    many of both languages were aligned, and how similar they are. Raises `InputError` where no article is in both
    languages, no section is aligned, or all that are aligned are held out.
    """
    aligner = open_aligner(source, target, settings)
    tally = step.count("aligned sections")
    held_out = {pair["article"] for pair in held_out_pairs(aligner)}
    found = AlignmentYield(aligner)

    def pairs() -> Iterator[dict[str, Any]]:
        with progress("alignment", total=len(aligner.articles), unit=" articles") as bar:
            for article in aligner.articles.tolist():
                of_article = aligner.pairs_of(article)
                found.add(of_article)
                tally.dropped.update(of_article.dropped)
                bar.update()
                if article in held_out:
                    tally.drop(DropReason.HELD_OUT, len(of_article.rows))
                else:
                    yield from of_article.rows

    drawn = _sample(pairs(), settings, tally)
    while rows := list(islice(drawn, _ROWS_PER_BATCH)):
        tally.kept += len(rows)
        yield pa.RecordBatch.from_pylist(rows, schema=ALIGNED_SCHEMA)
    tally.drop(DropReason.ARTICLE_NOT_SHARED, len(aligner.source) - tally.read)
    _refuse_nothing(aligner, tally)
    step.facts |= found.facts()
    step.notes += found.notes()


def open_aligner(source: str | Path, target: str | Path, settings: AlignmentSettings) -> SectionAligner:
    """The aligner of the datasets of sections in two folders; errors as in `align_sections`."""
    return SectionAligner(read_columns(source), read_columns(target), settings)


def held_out_pairs(aligner: SectionAligner) -> list[dict[str, Any]]:
    """At least `held_out` pairs: all of some articles, which are drawn by the seed. Rows of `ALIGNED_SCHEMA`, each with
    the QID of its `article` as a number.

    Raises `InputError` where there are fewer pairs.
    """
    settings = aligner.settings
    if not settings.held_out:
        return []
    pairs: list[dict[str, Any]] = []
    # By a hash: the order of the dump does not matter, and other pairs of languages begin with the same articles.
    draws = {qid: xxh3_64_intdigest(f"{settings.seed} Q{qid}".encode()) for qid in aligner.articles.tolist()}
    for article in sorted(draws, key=lambda qid: (draws[qid], qid)):
        pairs += [{"article": article, **row} for row in aligner.pairs_of(article).rows]
        if len(pairs) >= settings.held_out:
            return pairs
    languages = f"{aligner.source.language} and {aligner.target.language}"
    expected = f"expected {settings.held_out:,} pairs for --held_out, found {len(pairs):,} aligned ones"
    raise InputError(f"{languages}: {expected}; take a smaller --held_out")


def _sample(rows: Iterable[dict[str, Any]], settings: AlignmentSettings, tally: Tally) -> Iterator[dict[str, Any]]:
    """`max_pairs` of the rows, drawn by the seed, in their order; no more than these are held in memory."""
    if settings.max_pairs is None:
        yield from rows
        return
    generator = random.Random(f"{settings.seed} max_pairs")
    read = 0

    def with_draws() -> Iterator[tuple[float, int, dict[str, Any]]]:
        nonlocal read
        for row in rows:
            yield generator.random(), read, row
            read += 1

    drawn = heapq.nsmallest(settings.max_pairs, with_draws())
    tally.drop(DropReason.BEYOND_MAX_PAIRS, read - len(drawn))
    yield from (row for _, _, row in sorted(drawn, key=lambda one: one[1]))


def _refuse_nothing(aligner: SectionAligner, tally: Tally) -> None:
    if tally.kept:
        return
    languages = f"{aligner.source.language} and {aligner.target.language}"
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in tally.as_dict()["dropped"].items())
    if tally.dropped[DropReason.HELD_OUT]:
        advice = "take a smaller --held_out"
    else:
        options = [option for reason, option in _OPTIONS.items() if tally.dropped[reason]]
        advice = f"lower {' and '.join(options)}" if options else "no option makes them more; take larger dumps"
    raise InputError(f"{languages}: no pair of sections is left of {tally.read:,} sections ({reasons}); {advice}")


@dataclass
class AlignmentYield:
    """How many sections of the articles that both languages have were aligned, and how similar they are; those that are
    held out, or not drawn afterwards, count, too."""

    aligner: SectionAligner
    source_sections: int = 0
    target_sections: int = 0
    similarities: array = field(default_factory=lambda: array("d"))

    def add(self, article: ArticlePairs) -> None:
        self.source_sections += article.source_sections
        self.target_sections += article.target_sections
        self.similarities.extend(row["similarity"] for row in article.rows)

    def facts(self) -> dict[str, Any]:
        """For the manifest; `similarity` are the numbers of pairs from 0 to 0.1, to 0.2 and so on, end exclusive."""
        sections = {"source": self.source_sections, "target": self.target_sections}
        pairs = len(self.similarities)
        return {
            "yield": {"articles": len(self.aligner.articles), "sections": sections, "aligned": pairs},
            "similarity": {"median": round(float(np.median(self.similarities)), 4), "histogram": self._histogram()},
        }

    def notes(self) -> list[str]:
        pairs = len(self.similarities)
        shares = [
            f"{pairs:,} of {sections:,} sections of {language} ({pairs / sections:.1%})"
            for language, sections in (
                (self.aligner.source.language, self.source_sections),
                (self.aligner.target.language, self.target_sections),
            )
        ]
        histogram = self._histogram()
        highest = max(histogram)
        bars = [
            f"  {number / _BINS:.1f} to {(number + 1) / _BINS:.1f} {count:>10,} {'#' * -(-_WIDTH * count // highest)}"
            for number, count in enumerate(histogram)
        ]
        return [
            f"aligned: {' and '.join(shares)}, in the {len(self.aligner.articles):,} articles that both have",
            f"similarity of these pairs (median {np.median(self.similarities):.2f}):",
            *(line.rstrip() for line in bars),
        ]

    def _histogram(self) -> list[int]:
        histogram = [0] * _BINS
        for similarity in self.similarities:
            histogram[min(int(similarity * _BINS), _BINS - 1)] += 1
        return histogram
