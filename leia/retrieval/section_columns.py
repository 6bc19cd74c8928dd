"""The sections of one language as columns of numbers, without their texts, and what a shared link is worth.

A QID is its number. Of 20 million sections with 10 links each the columns take 2 GB.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from leia.base.datasets import integer_array, open_dataset
from leia.base.errors import InputError
from leia.retrieval.sections import MADE_BY, SECTIONS_SCHEMA

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class SectionColumns:
    """The sections of a dataset in its order: row r is section `numbers[r]` of the article with the QID `articles[r]`,
    and links to the QIDs from `bounds[r]` to `bounds[r + 1]` (end exclusive) of `links`."""

    language: str
    articles: np.ndarray
    numbers: np.ndarray
    bounds: np.ndarray
    links: np.ndarray

    def __len__(self) -> int:
        return len(self.articles)

    def id_of(self, row: int) -> str:
        return f"{self.language}-Q{self.articles[row]}-{self.numbers[row]}"

    def by_article(self) -> "Articles":
        order = np.lexsort((self.numbers, self.articles))
        qids, starts = np.unique(self.articles[order], return_index=True)
        return Articles(qids, np.append(starts, len(order)), order)


class Articles(NamedTuple):
    """The articles of a language, `qids` ascending; of article a the sections are the rows from `starts[a]` to
    `starts[a + 1]` (end exclusive) of `rows`, in the order of their numbers."""

    qids: np.ndarray
    starts: np.ndarray
    rows: np.ndarray

    def rows_of(self, place: int) -> np.ndarray:
        return self.rows[self.starts[place] : self.starts[place + 1]]


def open_sections(path: str | Path) -> "Dataset":
    """The sections in a dataset folder; errors as in `leia.base.datasets.open_articles`."""
    return open_dataset(Path(path), SECTIONS_SCHEMA.names, MADE_BY, of="section")


def read_columns(path: str | Path) -> SectionColumns:
    """The columns of the dataset in a folder. Raises `InputError` for one with other ids than sections have."""
    table = open_sections(path).data.table
    try:
        language = table["id"][0].as_py().rsplit("-", 2)[0]
        articles = _join(_numbers(chunk) for chunk in table["wikidata_id"].chunks)
        numbers = _join(_last_numbers(chunk) for chunk in table["id"].chunks)
        lengths = _join(_as_numpy(pc.list_value_length(chunk)) for chunk in table["link_ids"].chunks)
        links = _join(_numbers(chunk.flatten()) for chunk in table["link_ids"].chunks)
    except (ValueError, AttributeError, pa.ArrowException) as error:
        expected = "expected ids like es-Q17-0 and Q17"
        raise InputError(f"{path}: {expected}, found others ({error}); make it again with {MADE_BY}") from error
    return SectionColumns(language, articles, numbers, np.concatenate([[0], np.cumsum(lengths)]), links)


def _numbers(qids: pa.Array) -> np.ndarray:
    return _as_numpy(pc.cast(pc.utf8_slice_codeunits(qids, 1), pa.int64()))


def _last_numbers(ids: pa.Array) -> np.ndarray:
    parts = pc.split_pattern(ids, "-", max_splits=1, reverse=True)
    return _as_numpy(pc.cast(pc.list_element(parts, 1), pa.int64()))


def _as_numpy(numbers: pa.Array) -> np.ndarray:
    if numbers.null_count:
        raise ValueError("a row without a value")
    return numbers.to_numpy(zero_copy_only=False)


def _join(pieces: Iterable[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.empty(0, np.int64), *pieces])


def link_weights(source: SectionColumns, target: SectionColumns) -> tuple[np.ndarray, np.ndarray]:
    """All QIDs that sections link to, ascending, and the weight of each.

    In a language with N sections of which n link to a QID, its weight is log(1 + N / n); it counts with the smaller of
    its weights in the two languages. Where no section of one language links to it, N / n is infinite there: so the
    weight in the other language counts.
    """
    frequencies = [(_frequencies(columns.links), len(columns)) for columns in (source, target)]
    qids = np.union1d(*(known for (known, _), _ in frequencies))
    weights = np.full(len(qids), math.inf)
    for (known, counts), number in frequencies:
        distinct, place = np.unique(counts, return_inverse=True)
        of_count = np.array([math.log(1 + number / count) for count in distinct.tolist()])
        at = np.searchsorted(qids, known)
        weights[at] = np.minimum(weights[at], of_count[place])
    return qids, weights


def _frequencies(links: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct QIDs, ascending, and how often each is there: by hashing, since sorting would need them twice."""
    counted = pc.value_counts(integer_array(links, pa.int64()))
    qids, counts = (counted.field(name).to_numpy() for name in ("values", "counts"))
    order = np.argsort(qids)
    return qids[order], counts[order]
