"""The aligned sections of two languages, as `scripts/build_aligned_sections.py` writes them, for training.

    DATA_DIR/sections/<language>         every section of a Wikipedia
    DATA_DIR/aligned/<source>-<target>   which of them say the same, and which are hard negatives

All stays on disk but for the ids of the sections that are asked for, and where they are.
"""

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from leia.base.datasets import open_dataset
from leia.base.errors import InputError, UsageError
from leia.retrieval.sections import MADE_BY

_SECTION_COLUMNS = ("id", "text")
_ALIGNED_COLUMNS = ("source", "target", "source_negatives", "target_negatives")

TextsOf = Callable[[Collection[str]], Mapping[str, str]]
"""Gives the texts of sections by their ids, in the order of all sections."""


@dataclass(frozen=True, slots=True)
class Aligned:
    """Ids of a source section and its one counterpart; of each the hard negatives, sections in the other language."""

    source: str
    target: str
    source_negatives: tuple[str, ...]
    target_negatives: tuple[str, ...]


@dataclass(frozen=True)
class Pair:
    """Two languages (`name`: `es-ja`), their aligned sections, and the texts of sections in both."""

    name: str
    source_language: str
    target_language: str
    rows: Sequence[Aligned]
    source_texts: TextsOf
    target_texts: TextsOf


def aligned_texts(pair: Pair) -> Iterator[str]:
    """The texts of all aligned sections."""
    yield from pair.source_texts({row.source for row in pair.rows}).values()
    yield from pair.target_texts({row.target for row in pair.rows}).values()


def find_pairs(data_dir: Path, names: Iterable[str] = ()) -> list[str]:
    """`names`, or those of all pairs in `data_dir`. Raises `UsageError` where there is none, or one is not there."""
    folder = data_dir / "aligned"
    there = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    there = [name for name in there if not name.startswith(".")]
    if not there:
        raise UsageError(f"{data_dir}: expected pairs of languages in aligned/, found none; {MADE_BY} makes them")
    if unknown := sorted(set(names) - set(there)):
        raise UsageError(f"--pairs: expected some of {', '.join(there)} in {folder}, found {', '.join(unknown)}")
    return list(dict.fromkeys(names)) or there


def pair_folders(data_dir: Path, name: str) -> tuple[Path, Path, Path]:
    """The folders of a pair: its aligned sections, and all sections of its source and of its target language.

    A language code may hold hyphens, so that it is the folders that tell where the name of a pair is to be cut.
    """
    words = name.split("-")
    cuts = [("-".join(words[:cut]), "-".join(words[cut:])) for cut in range(1, len(words))]
    for source, target in cuts:
        folders = data_dir / "aligned" / name, data_dir / "sections" / source, data_dir / "sections" / target
        if all(folder.is_dir() for folder in folders):
            return folders
    expected = " and ".join(f"sections/{language}" for language in (cuts or [(name,)])[0])
    raise InputError(f"{data_dir}: expected {expected} beside aligned/{name}, found none; {MADE_BY} makes them")


def open_pair(data_dir: Path, name: str) -> Pair:
    """A pair from its folders. Raises `InputError` for one without aligned sections, or whose sections lack some."""
    aligned, source, target = pair_folders(data_dir, name)
    rows = AlignedRows(open_dataset(aligned, _ALIGNED_COLUMNS, MADE_BY, of="pair of sections").data.table)
    texts = SectionTexts(source), SectionTexts(target)
    texts[0].check(rows.ids("source", "target_negatives"))
    texts[1].check(rows.ids("target", "source_negatives"))
    return Pair(name, source.name, target.name, rows, *texts)


class AlignedRows(Sequence[Aligned]):
    """The rows of a dataset of aligned sections, read when they are asked for: a million would take over 1 GB."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table.select(_ALIGNED_COLUMNS)
        self._batches = _Chunks(self._table.to_batches())

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, place: int) -> Aligned:
        if not 0 <= place < len(self):
            raise IndexError(place)
        batch, row = self._batches.find(place)
        source, target, own, its = (column[row].as_py() for column in batch.columns)
        return Aligned(source, target, tuple(own or ()), tuple(its or ()))

    def ids(self, column: str, lists: str) -> pa.Array:
        """The distinct ids in a column and in a column of lists."""
        columns = [self._table[column], pc.list_flatten(self._table[lists])]
        return pc.unique(pa.chunked_array([chunk for one in columns for chunk in one.chunks], pa.string()))


class SectionTexts:
    """The sections of a language; called with ids it gives their texts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        table = open_dataset(folder, _SECTION_COLUMNS, MADE_BY, of="section").data.table
        self._ids, self._texts = table["id"], table["text"]

    def __call__(self, ids: Collection[str]) -> Mapping[str, str]:
        # of the whole column at once: for each of its chunks the table of the wanted ids would be made again
        wanted = pc.is_in(self._ids, value_set=pa.array(sorted(ids), pa.string()))
        found, rows = self._ids.filter(wanted).to_pylist(), pc.indices_nonzero(wanted).to_pylist()
        return _TextsAt(dict(zip(found, rows, strict=True)), self._texts)

    def check(self, ids: pa.Array) -> None:
        """Raise `InputError` where one of these distinct ids is not there."""
        found = self._ids.filter(pc.is_in(self._ids, value_set=ids))
        if len(found) < len(ids):
            missing = ids.filter(pc.invert(pc.is_in(ids, value_set=pc.unique(found))))
            expected = f"expected the section {missing[0]}, which is in a pair, found none"
            raise InputError(
                f"{self._folder}: {expected} ({len(missing):,} are missing); make pairs and sections again"
            )


class _TextsAt(Mapping[str, str]):
    """Texts on disk by ids: `rows` says in which row of the column each stands."""

    def __init__(self, rows: Mapping[str, int], column: pa.ChunkedArray) -> None:
        self._rows, self._chunks = rows, _Chunks(column.chunks)

    def __getitem__(self, section: str) -> str:
        chunk, row = self._chunks.find(self._rows[section])
        return chunk[row].as_py()

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


class _Chunks:
    """The pieces of a table or column, by row: Arrow itself looks through all of them."""

    def __init__(self, pieces: Sequence[Any]) -> None:
        self._pieces = pieces
        self._first_rows = list(accumulate(map(len, pieces), initial=0))

    def __len__(self) -> int:
        return self._first_rows[-1]

    def find(self, row: int) -> tuple[Any, int]:
        """The piece that holds a row, and its number in that."""
        piece = bisect_right(self._first_rows, row) - 1
        return self._pieces[piece], row - self._first_rows[piece]
