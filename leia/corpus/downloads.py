"""Downloads dumps, where they are neither on disk nor used up, and never mixes dates.

Beside a dump, say `jawiki-dump`, lie while it is needed:

- `jawiki-dump.export.json`, the record: which export it is, with every checksum. It is written before the first byte
  comes: later runs go on with that export, and one that asks for another date is refused;
- `jawiki-dump.incomplete/`: the file that is coming. It moves to the dump when its checksum is right.

A Wikipedia's pages are a folder that holds the parts and their SHA256SUMS, no more: later steps know it by its files.
"""

import hashlib
import os
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path

import click
import msgspec

from leia.base.cli import progress
from leia.base.errors import InputError, UsageError
from leia.base.outputs import errors_named, held, write_file
from leia.base.step import sizes_read
from leia.base.text import read_json, to_json
from leia.corpus.dump_parts import SUMS_NAME
from leia.corpus.dump_sites import Export, RemoteFile, Sites, Wanted, find_export, with_hyphens
from leia.corpus.web import WAITS, NotThere, receive

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Need:
    """A dump that steps read: of `date` (None: the newest), downloaded to `folder` unless the file or folder `given`
    stands for it, or the `outputs` that are made from it are all complete."""

    wanted: Wanted
    date: str | None
    folder: Path
    given: Path | None = None
    outputs: tuple[Path, ...] = ()

    @property
    def path(self) -> Path:
        return self.given or self.folder / self.wanted.name

    @property
    def record(self) -> Path:
        return Path(f"{self.path}.export.json")

    def check_given(self) -> None:
        """Raise `UsageError` where a given file or folder is missing though it is still needed."""
        if self.given and not self.given.exists() and not self._is_used_up():
            raise UsageError(f"{self.given}: there is no such file; name a dump on disk, or leave it to be downloaded")

    def done(self) -> str | None:
        """Why nothing is to be downloaded; None where something is. Asks no site.

        Raises `InputError` where what is on disk is of another date, or nobody knows of which.
        """
        export = None if self.given else self._recorded()
        if self.given.exists() if self.given else export and not self.missing(export):
            return f"complete already: {self.path}"
        if (self.given or export) and self._is_used_up(export):
            return f"complete already: all that is made from {self.path}"
        return None

    def _is_used_up(self, export: Export | None = None) -> bool:
        """Whether all outputs are there and made from this dump, by a manifest in the folder or beside the file."""
        return bool(self.outputs) and all(self._has_made(output, export) for output in self.outputs)

    def _has_made(self, output: Path, export: Export | None) -> bool:
        manifests = (output if output.is_dir() else output.parent).glob("*manifest.json")
        return output.exists() and any(self._is_input_of(manifest, export) for manifest in manifests)

    def _is_input_of(self, manifest: Path, export: Export | None) -> bool:
        """Whether this dump was an input, of the size that `export` has: the name holds no date."""
        try:
            size = sizes_read(read_json(manifest, "remove it")).get(self.path.name)
        except (InputError, KeyError, TypeError, AttributeError):  # damaged, or of another program
            return False
        known = [file.size for file in export.files] if export else [None]
        return size is not None and (None in known or size == sum(known))

    def find(self, sites: Sites) -> Export:
        """The export that was begun; where none was, that of the date or the newest, which the sites are asked for."""
        return self._recorded() or find_export(self.wanted, sites, self.date)

    def missing(self, export: Export) -> list[RemoteFile]:
        """The files of `export` that are not on disk in their full size."""
        sizes = {file: self.place(file).stat().st_size for file in export.files if self.place(file).is_file()}
        return [file for file in export.files if file not in sizes or file.size not in (None, sizes[file])]

    def place(self, file: RemoteFile) -> Path:
        """Where `file` lies when it is complete."""
        return self.path / file.name if self.wanted.in_parts else self.path

    def fetch(self, export: Export, sites: Sites, waits: Sequence[float] = WAITS) -> None:
        """Download what is missing of `export`, or of the one that another run has begun meanwhile.

        One file after the other, over one connection: sites allow three for an address, and runs for other languages
        may be under way. Raises `InputError` where a file does not come, or comes twice with another checksum.
        """
        incomplete = Path(f"{self.path}.incomplete")
        with ExitStack() as stack:
            _hold(self.path, stack)
            export = self._begin(export)
            for number, file in enumerate(missing := self.missing(export), 1):
                incomplete.mkdir(exist_ok=True)
                url, label = sites.url(export.site, file.path), f"{file.name} ({number} of {len(missing)})"
                try:
                    _fetch_file(url, incomplete / file.name, export.algorithm, file.checksum, waits, label)
                except NotThere as error:
                    away = "exports leave the site after months; to begin with another one remove"
                    raise InputError(f"{error}, but {self.record} names it: {away} {self.path}*") from error
                (incomplete / file.name).replace(self.place(file))
            with suppress(OSError):  # nothing came, or a file of an export that was given up is left
                incomplete.rmdir()

    def _begin(self, export: Export) -> Export:
        """Write the record and the list of the parts, where they are not there; return the export of the record."""
        if recorded := self._recorded():
            export = recorded
        else:
            write_file(self.record, to_json(asdict(export)))
        if self.wanted.in_parts:
            self.path.mkdir(exist_ok=True)
        if export.algorithm == "sha256" and not (self.path / SUMS_NAME).exists():
            write_file(self.path / SUMS_NAME, "".join(f"{file.checksum}  {file.name}\n" for file in export.files))
        return export

    def _recorded(self) -> Export | None:
        """The export that the record names; None where there is no record. Raises `InputError` for other dates."""
        try:
            export = msgspec.json.decode(self.record.read_bytes(), type=Export)
        except FileNotFoundError:
            if self.path.is_file() or _files_in(self.path):
                expected = f"expected {self.record.name} beside it, which says of which date it is"
                raise InputError(f"{self.path}: {expected}; remove it, or name it as the dump to use") from None
            return None
        except msgspec.MsgspecError as error:
            raise InputError(f"{self.record}: is damaged ({error}); remove {self.path}*") from error
        if self.date not in (None, export.date):
            found = f"expected the export of {with_hyphens(self.date)}, found that of {with_hyphens(export.date)}"
            raise InputError(f"{self.path}: {found}; give another date another folder, or remove {self.path}*")
        for name in sorted(_files_in(self.path) - {SUMS_NAME, *(file.name for file in export.files)}):
            expected = f"expected files of the export of {with_hyphens(export.date)} alone"
            raise InputError(f"{self.path}: {expected}, found {name}; move it to another folder")
        return export


def provide(needs: Sequence[Need], sites: Sites, dry_run: bool) -> None:
    """Download what is needed and not there, once all of it has been found; with `dry_run` say what that would be."""
    found: list[tuple[Need, Export]] = []
    for need in needs:
        if done := need.done():
            click.echo(done)
        else:
            found.append((need, need.find(sites)))
    for need, export in found:
        missing = need.missing(export)
        click.echo(f"{need.path}: export of {with_hyphens(export.date)}, {_amount(missing)} to come")
        if dry_run:
            for file in missing:
                click.echo(
                    f"would be downloaded: {sites.url(export.site, file.path)} to {need.place(file)}, {_size(file)}"
                )
        else:
            need.fetch(export, sites)
            click.echo(f"written: {need.path}")
    if dry_run:
        click.echo(f"in all: {_amount([file for need, export in found for file in need.missing(export)])}")


def _amount(files: Sequence[RemoteFile]) -> str:
    unknown = sum(file.size is None for file in files)
    size = f"{sum(file.size or 0 for file in files):,} bytes" + (f" and {unknown} of unknown size" if unknown else "")
    return f"{len(files)} file{'s' * (len(files) != 1)}, {size}"


def _size(file: RemoteFile) -> str:
    return "of unknown size" if file.size is None else f"{file.size:,} bytes"


def _files_in(folder: Path) -> set[str]:
    """The names in a folder without the hidden ones, which no step reads; none where there is no folder."""
    return {entry.name for entry in folder.iterdir() if entry.name[0] != "."} if folder.is_dir() else set()


def _hold(path: Path, stack: ExitStack) -> None:
    """Hold `path` until the `stack` ends. Two languages may want the same Wikidata dump at once: one of them waits."""
    for seconds in count():
        try:
            return stack.enter_context(held(path))
        except InputError as error:
            if not seconds:
                click.echo(f"waiting for another download: {error}")
            time.sleep(1)


def _fetch_file(url: str, path: Path, algorithm: str, checksum: str, waits: Sequence[float], label: str) -> None:
    """Download `url` to `path` with the right checksum; what has a wrong one is removed, and fetched once more."""
    for is_last in (False, True):
        with errors_named(path, path), path.open("ab") as sink:
            receive(url, sink, waits, label)
            sink.flush()
            os.fsync(sink.fileno())
        found = _checksum(path, algorithm)
        if found == checksum:
            return
        path.unlink()
        wrong = f"{url}: expected the {algorithm} checksum {checksum}, found {found}; what came was removed"
        if is_last:
            raise InputError(f"{wrong}, twice; run the same command later, or take another date")
        click.echo(f"{wrong} and is fetched again", err=True)


def _checksum(path: Path, algorithm: str) -> str:
    digest = hashlib.new(algorithm)
    with path.open("rb") as file, progress(f"checksum of {path.name}", path.stat().st_size) as bar:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            bar.update(len(chunk))
    return digest.hexdigest()
