"""A step of the pipeline: reads its inputs, counts what it keeps and drops, writes one output and its manifest.

    with open_step("extract_redirects", [dump_file], NewFile(output_file), options) as step:
        step.count("pages").drop(DropReason.NOT_A_REDIRECT)
        step.target.write_text(...)

The output takes its final name when the block ends well; then the counts are printed. Where the output is there already
and its manifest says that it was made from the same inputs and options, there is nothing to do: `AlreadyComplete`,
which `leia.base.cli` prints.

The manifest is JSON: `step`, `inputs` (name, bytes, SHA-256), `options`, `versions`, `tally`. It holds no time and no
path, so that two runs on two machines write the same bytes. For an output file it is `NAME.manifest.json` beside it,
for an output folder it is `manifest.json` in it.
"""

import hashlib
import json
import platform
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatch
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import click

from leia.base.errors import AlreadyComplete, MissingInput, UsageError
from leia.base.outputs import MANIFEST_NAME, Output, remove_remains
from leia.base.text import read_json, to_json

_SMALL = 1 << 26
"""Bytes of an input that is read again to know whether it changed."""

CACHE_FILES = "cache-*.arrow"
"""What `datasets` leaves in a dataset's folder when somebody sorts or filters it."""


@dataclass
class Tally:
    """How many of `unit` (say "pages") were kept, and how many dropped for which reason."""

    unit: str
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    note: str = ""
    """What else is to be said of those kept; printed, not written."""
    alarm: float | None = None
    """A share of those read: the last lines of the step name each reason that more than this share was dropped for."""

    @property
    def read(self) -> int:
        return self.kept + sum(self.dropped.values())

    def drop(self, reason: str, count: int = 1) -> None:
        if count:
            self.dropped[reason] += count

    def add(self, other: "Tally") -> None:
        self.kept += other.kept
        self.dropped.update(other.dropped)

    def as_dict(self) -> dict[str, Any]:
        reasons = dict(sorted(self.dropped.items(), key=lambda item: (-item[1], item[0])))
        return {"read": self.read, "kept": self.kept, "dropped": reasons}

    def large_losses(self) -> list[str]:
        """A line for each reason that more than the share `alarm` was dropped for."""
        return [
            f"note: {count:,} of {self.read:,} {self.unit} ({count / self.read:.1%}) were dropped: {reason}"
            for reason, count in self.as_dict()["dropped"].items()
            if self.alarm is not None and count > self.alarm * self.read
        ]

    def __str__(self) -> str:
        note = f", {self.note}" if self.note else ""
        lines = [f"{count:>12,}  dropped: {reason}" for reason, count in self.as_dict()["dropped"].items()]
        return "\n".join([f"{self.unit}: {self.read:,} read, {self.kept:,} kept{note}", *lines])


@dataclass
class Counts:
    """The tallies of a step, or of a part of its work in a worker, by their units."""

    tallies: dict[str, Tally] = field(default_factory=dict)

    def count(self, unit: str) -> Tally:
        """The tally of `unit`; a new one where nothing was counted of it yet."""
        return self.tallies.setdefault(unit, Tally(unit))

    def add(self, other: "Counts") -> None:
        for unit, tally in other.tallies.items():
            self.count(unit).add(tally)

    def as_dict(self) -> dict[str, Any]:
        return {unit: tally.as_dict() for unit, tally in self.tallies.items()}

    def __str__(self) -> str:
        return "\n".join(map(str, self.tallies.values()))


@dataclass(frozen=True)
class FilesIn:
    """An input that is those files of a `folder` whose names match one of `patterns`; what else lies there may change.

    `open_step` takes it where it takes a path. Without such files it counts as an input that is gone.
    """

    folder: Path
    patterns: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.folder.resolve().name

    def files(self) -> list[Path]:
        """In the order of their names; hidden ones are left out, they are not complete."""
        names = sorted(path.name for path in self.folder.iterdir() if path.is_file() and not path.name.startswith("."))
        return [self.folder / name for name in names if any(fnmatch(name, pattern) for pattern in self.patterns)]


@dataclass
class Step(Counts):
    """A step at work. `target` is what `Output.open` yields: where to write. `facts` are added to the manifest; `notes`
    are the last lines that the step prints."""

    target: Any = None
    facts: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@contextmanager
def open_step(
    name: str,
    reads: Sequence[str | Path | FilesIn],
    writes: Output,
    options: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Iterator[Step]:
    """Run a step: hold its output, yield the `Step`, write the manifest, print the counts.

    Raises `AlreadyComplete` where the output is there and was made from these inputs and options (unless `overwrite`),
    `MissingInput` where it is not and an input is missing, and `UsageError` where an input would be replaced.
    """
    inputs = [path if isinstance(path, FilesIn) else Path(path) for path in reads]
    options = json.loads(json.dumps(dict(options or {})))
    replaced = {place.resolve() for place in writes.places}
    for path in inputs:
        place = path.folder if isinstance(path, FilesIn) else path
        if place.resolve() in replaced:
            raise UsageError(f"{place}: is an input of this step, which would be replaced by its output; name another")
    if not overwrite and writes.exists() and was_made_from(writes.manifest, inputs, name, options):
        for place in (*writes.places, writes.manifest):
            remove_remains(place)
        raise AlreadyComplete(f"complete already: {writes}")
    for path in inputs:
        if isinstance(path, Path) and not path.exists():
            raise MissingInput(path)
    identities = _identify_meanwhile(inputs)
    with writes.open() as (target, manifest_file):
        step = Step(target=target)
        yield step
        manifest = {
            "step": name,
            "inputs": identities.result(),
            "options": options,
            "versions": versions(),
            "tally": step.as_dict(),
            **step.facts,
        }
        manifest_file.write_text(to_json(manifest), encoding="utf-8")
    losses = [line for tally in step.tallies.values() for line in tally.large_losses()]
    click.echo("\n".join([f"{step}\nwritten: {writes}".lstrip("\n"), *losses, *step.notes]))


@contextmanager
def unless_complete() -> Iterator[None]:
    """Go on behind a step that is complete already, and say so: for a command of several steps."""
    try:
        yield
    except AlreadyComplete as complete:
        click.echo(complete)


def _identify_meanwhile(paths: Sequence[Path | FilesIn]) -> Future[list[dict[str, Any]]]:
    """`identify` in a thread that, unlike an executor's, dies with the process when the step fails."""
    future: Future[list[dict[str, Any]]] = Future()

    def work() -> None:
        try:
            future.set_result([identify(path) for path in paths])
        except Exception as error:  # raised by `result()`, which would wait for ever otherwise
            future.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return future


def identify(path: Path | FilesIn) -> dict[str, Any]:
    """Name, size in bytes and SHA-256 of a file, or of a folder by its files in the order of their names."""
    if isinstance(path, FilesIn) or path.is_dir():
        parts = [identify(file) for file in _files_of(path)]
        digest = hashlib.sha256("\n".join(part["sha256"] for part in parts).encode()).hexdigest()
        return {"name": path.name, "bytes": sum(part["bytes"] for part in parts), "sha256": digest}
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"name": path.name, "bytes": path.stat().st_size, "sha256": digest}


def was_made_from(
    manifest_file: Path,
    inputs: Sequence[Path | FilesIn],
    step: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> bool:
    """Whether this manifest is there and says: made from `inputs` (by the `step`, with these `options`, where given).

    Told by names and sizes, without reading what may be 100 GB, and by the content of what is small, as what people
    write by hand is; of an input that is gone since, by its name.
    """
    try:
        manifest = json.loads(manifest_file.read_text(encoding="utf-8"))
        recorded = manifest["inputs"]
        same_step = step in (None, manifest["step"]) and options in (None, manifest["options"])
        return same_step and len(recorded) == len(inputs) and all(map(_is_as_recorded, inputs, recorded))
    except (OSError, ValueError, KeyError, TypeError):  # no manifest, or a damaged one
        return False


def _is_as_recorded(path: Path | FilesIn, identity: Mapping[str, Any]) -> bool:
    """Whether an input is the one that a manifest lists, as far as `was_made_from` looks."""
    if path.name != identity["name"]:
        return False
    if not _is_there(path):
        return True
    size = sum(file.stat().st_size for file in _files_of(path))
    return size == identity["bytes"] and (size > _SMALL or identify(path) == identity)


def sizes_read(manifest: Mapping[str, Any]) -> dict[str, int]:
    """The names and the sizes in bytes of the inputs that a manifest lists."""
    return {identity["name"]: identity["bytes"] for identity in manifest["inputs"]}


def _is_there(path: Path | FilesIn) -> bool:
    return bool(path.files()) if isinstance(path, FilesIn) else path.exists()


def _files_of(path: Path | FilesIn) -> list[Path]:
    """The files that make an input what it is, in the order of their names."""
    if isinstance(path, FilesIn):
        return path.files()
    if path.is_file():
        return [path]
    files = (file for file in sorted(path.rglob("*")) if file.is_file())
    return [file for file in files if file.name != MANIFEST_NAME and not fnmatch(file.name, CACHE_FILES)]


def read_manifest(output: str | Path) -> dict[str, Any] | None:
    """The manifest in an output folder or beside an output file; None where there is none, as of the published scripts.

    Raises `InputError` for one that is not a JSON object.
    """
    path = Path(output) / MANIFEST_NAME if Path(output).is_dir() else Path(f"{output}.{MANIFEST_NAME}")
    try:
        return read_json(path, f"run the step that makes {output} again")
    except FileNotFoundError:
        return None


def kept_by_step(output: str | Path, step: str) -> int | None:
    """How many the `step` that made this file or folder kept; None where no manifest of that step is there."""
    manifest = read_manifest(output) or {}
    tallies = manifest.get("tally", {}).values() if manifest.get("step") == step else ()
    return sum(tally["kept"] for tally in tallies) if tallies else None


def versions() -> dict[str, str]:
    """The versions that an output can depend on; a package that is not installed is left out."""
    found = {"python": platform.python_version()}
    for package in ("leia", "torch", "transformers", "tokenizers", "datasets", "pyarrow"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
