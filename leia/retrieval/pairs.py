"""The aligned sections of two languages, as `scripts/build_aligned_sections.py` writes them, for training.

    DATA_DIR/sections/<language>         every section of a Wikipedia
    DATA_DIR/aligned/<source>-<target>   which of them say the same, and which are hard negatives

The texts stay on disk; in memory are the ids of the sections that a pair needs, and where they are.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from leia.base.datasets import open_dataset
from leia.base.errors import InputError, UsageError

MADE_BY = "scripts/build_aligned_sections.py"
_SECTION_COLUMNS = ("id", "text")
_ALIGNED_COLUMNS = ("source", "target", "source_negatives", "target_negatives")


@dataclass(frozen=True, slots=True)
class Aligned:
    """Ids of a source section and its one counterpart; of each the hard negatives, sections in the other language."""

    source: str
    target: str
    source_negatives: tuple[str, ...]
    target_negatives: tuple[str, ...]


@dataclass(frozen=True)
class Pair:
    """Two languages (`name`: `es-ja`), their aligned sections, and the texts of these and of their negatives by id, in
    the order of the sections."""

    name: str
    source_language: str
    target_language: str
    rows: list[Aligned]
    source_texts: Mapping[str, str]
    target_texts: Mapping[str, str]


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
    table = open_dataset(aligned, _ALIGNED_COLUMNS, MADE_BY, of="pair of sections").data.table.select(_ALIGNED_COLUMNS)
    columns = [column.to_pylist() for column in table.columns]
    rows = [
        Aligned(one, other, tuple(own or ()), tuple(its or ())) for one, other, own, its in zip(*columns, strict=True)
    ]
    source_ids = {row.source for row in rows} | {negative for row in rows for negative in row.target_negatives}
    target_ids = {row.target for row in rows} | {negative for row in rows for negative in row.source_negatives}
    texts = SectionTexts(source, source_ids), SectionTexts(target, target_ids)
    return Pair(name, source.name, target.name, rows, *texts)


class SectionTexts(Mapping[str, str]):
    """The texts of the sections `ids` of a dataset by their ids, in the order of the dataset.

    Raises `InputError` where one is not there.
    """

    def __init__(self, sections: Path, ids: Iterable[str]) -> None:
        wanted = set(ids)
        value_set = pa.array(sorted(wanted), pa.string())
        table = open_dataset(sections, _SECTION_COLUMNS, MADE_BY, of="section").data.table
        self._texts = table["text"].chunks
        self._places: dict[str, tuple[int, int]] = {}  # chunk, row in it
        for number, chunk in enumerate(table["id"].chunks):
            rows = pc.indices_nonzero(pc.is_in(chunk, value_set=value_set))
            found = zip(chunk.take(rows).to_pylist(), rows.to_pylist(), strict=True)
            self._places |= {one: (number, row) for one, row in found}
        if missing := sorted(wanted - self._places.keys()):
            expected = f"expected the section {missing[0]}, which is in a pair, found none"
            raise InputError(f"{sections}: {expected} ({len(missing):,} are missing); make pairs and sections again")

    def __getitem__(self, section: str) -> str:
        chunk, row = self._places[section]
        return self._texts[chunk][row].as_py()

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
