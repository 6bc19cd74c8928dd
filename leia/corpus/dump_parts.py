"""A dump of pages may come in parts: which files are they, in which order, and is one missing?

Small wikis come in one file, larger ones in several, whose names hold the ids of their first and last page:

    ltgwiki-2026-01-01-p1p30.xml.bz2                                  the exports of today, with SHA256SUMS beside them
    jawiki-20230701-pages-articles-multistream1.xml-p1p114794.bz2     the dumps up to 2026

A list SHA256SUMS beside the parts says which there are. Else the ranges have to join, though not to the very page:
today's names hold the ids of pages that are there, and others were deleted before the first part and between parts.
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import click

from leia.base.errors import UsageError
from leia.base.step import FilesIn

PART_NAMES = ("*.xml", "*.xml.bz2", "*.xml.gz", "*.xml-p*p*.bz2")
"""What is a part in a folder; all else there, checksums or outputs of other steps, is passed over."""

SUMS_NAME = "SHA256SUMS"
_WIKI = re.compile(r"([a-z][a-z0-9_]*)-(latest|\d{4}-?\d\d-?\d\d)-")
_RANGE = re.compile(r"-p(\d+)p(\d+)(?:\.xml)?(?:\.bz2|\.gz)?$")
_HISTORY = re.compile(r"-meta-history|-p\d+r\d+r\d+\.xml")
_DELETED_SHARE = 0.01  # a gap smaller than this share of a part beside it is of deleted pages: some of millions
_EXAMPLE = "jawiki-2026-01-01-p1p4000000.xml.bz2"


@dataclass(frozen=True, slots=True)
class _Part:
    """A file whose name tells its pages, by their ids, both inclusive."""

    path: Path
    wiki: tuple[str, str]
    """Name and date; empty where the name of the file lacks them."""
    first: int
    last: int

    @property
    def pages(self) -> tuple[int, int]:
        return self.first, self.last


def as_inputs(given: Sequence[str | Path]) -> list[Path | FilesIn]:
    """What is given as a dump, as the inputs of a step: of a folder only the parts in it. In the order of their names,
    since parts may be given in any order."""
    inputs = [FilesIn(Path(path), PART_NAMES) if os.path.isdir(path) else Path(path) for path in given]
    return sorted(inputs, key=lambda path: path.name)


def files_of(given: Sequence[str | Path]) -> list[Path]:
    """The files that are given, and the parts in the folders. Raises `UsageError` for a folder without any."""
    files: list[Path] = []
    for entry in as_inputs(given):
        if not (found := entry.files() if isinstance(entry, FilesIn) else [entry]):
            expected = f"expected a dump of pages in this folder, like {_EXAMPLE}"
            raise UsageError(f"{entry.folder}: {expected}, found none; download one, or name its files")
        files += found
    return files


def find_parts(given: Sequence[str | Path], allow_missing_parts: bool = False) -> list[Path]:
    """The parts of the dump that is given as files and folders, in the order of their pages.

    Raises `UsageError` where they are not one dump by their names: a part is given twice, is of another wiki or date,
    or is missing. With `allow_missing_parts` the last is a warning.
    """
    files = files_of(given)
    for path in files:
        if _HISTORY.search(path.name):
            expected = "expected a dump of current pages, like pages-articles"
            raise UsageError(f"{path}: {expected}, found a history dump by its name; download the other")
    parts = [part for part in map(_parse, files) if part]
    if len(files) == 1 and not parts:
        return files
    _refuse_same_file(files)
    if unnamed := sorted(path for path in files if not _parse(path)):
        expected = f"expected one dump, or parts with their pages in their names like {_EXAMPLE}"
        found = f"found {len(files)} files of which {len(unnamed)} have none in theirs"
        raise UsageError(f"{unnamed[0]}: {expected}, {found}; name the one dump to use")
    parts.sort(key=lambda part: part.pages)
    _refuse_mixture(parts)
    if missing := list(_missing(parts)):
        message = f"{parts[0].path.parent}: expected all parts of the dump, found none with the {' and '.join(missing)}"
        if not allow_missing_parts:
            raise UsageError(f"{message}; give this part too, or use what is there with --allow_missing_parts")
        click.echo(f"warning: {message}; without this part, as --allow_missing_parts says", err=True)
    return [part.path for part in parts]


def name_of(parts: Sequence[Path]) -> str:
    """The parts by one name, for messages."""
    return str(parts[0]) if len(parts) == 1 else f"{parts[0]} to {parts[-1].name}"


def _parse(path: Path) -> _Part | None:
    """The part that a file is by its name; None where that tells no pages."""
    if not (pages := _RANGE.search(path.name)):
        return None
    wiki = _WIKI.match(path.name)
    return _Part(path, (wiki[1], wiki[2].replace("-", "")) if wiki else ("", ""), int(pages[1]), int(pages[2]))


def _refuse_same_file(files: Sequence[Path]) -> None:
    seen: dict[tuple[int, int], Path] = {}
    for path in files:
        status = path.stat()
        before = seen.setdefault((status.st_dev, status.st_ino), path)
        if before is not path:
            again = "given twice" if before == path else f"the same file as {before}"
            raise UsageError(f"{path}: expected each part once, found it {again}; give it once")


def _refuse_mixture(parts: Sequence[_Part]) -> None:
    """Raise `UsageError` where one of the parts, which are sorted, is not of the same dump or holds the same pages."""
    for before, part in pairwise(parts):
        if part.wiki != before.wiki:
            expected, found = (" of ".join(filter(None, wiki)) or "another dump" for wiki in (before.wiki, part.wiki))
            raise UsageError(f"{part.path}: expected a part of {expected}, found {found}; give the parts of one dump")
        if part.first <= before.last:
            expected = f"expected pages from {before.last + 1} on, after those of {before.path.name}"
            raise UsageError(f"{part.path}: {expected}, found {part.first} to {part.last}; give each part once")


def _missing(parts: Sequence[_Part]) -> Iterator[str]:
    """What is missing between and beside the parts, which are sorted, in words."""
    given = {part.pages for part in parts}
    listed = {part.pages: part for part in _listed_beside(parts) if part.wiki == parts[0].wiki}
    for pages in sorted(listed.keys() - given):
        yield f"pages {pages[0]} to {pages[1]} ({listed[pages].path.name}, listed in {SUMS_NAME})"
    if given <= listed.keys():
        return
    last, size = 0, 0
    for part in parts:
        size = max(size, part.last - part.first + 1)
        if part.first - last - 1 > _DELETED_SHARE * size:
            yield f"pages {last + 1} to {part.first - 1}"
        last, size = part.last, part.last - part.first + 1


def _listed_beside(parts: Sequence[_Part]) -> Iterator[_Part]:
    for folder in sorted({part.path.parent for part in parts}):
        sums = folder / SUMS_NAME
        for line in sums.read_text("utf-8", "replace").splitlines() if sums.is_file() else ():
            if part := _parse(Path(line.split(maxsplit=1)[-1].lstrip("*"))):
                yield part
