"""Outputs that are complete or not there: written beside their final name, renamed at the end, held by one process.

`new_file` and `new_folder` yield a hidden neighbour of the output (`.NAME.partial`) to write to. When the block ends
well it takes the final name in one rename; when it fails it is removed; when the process was killed the next run of
the same step removes it, also where that finds the output complete (`remove_remains`). A lock file (`.NAME.lock`) says
who is writing. Folders above it are made; when it fails, they are removed again.
"""

import fcntl
import os
import re
import shutil
import socket
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from leia.base.errors import InputError
from leia.base.text import read_json

MANIFEST_NAME = "manifest.json"
_NAME_ANOTHER = "name a new folder or an earlier output of this step"


@dataclass(frozen=True)
class NewFile:
    """One file; its manifest lies beside it. `open` yields the path to write."""

    path: str | Path

    @property
    def places(self) -> list[Path]:
        return [Path(self.path)]

    @property
    def manifest(self) -> Path:
        return Path(f"{self.path}.{MANIFEST_NAME}")

    def exists(self) -> bool:
        return Path(self.path).is_file()

    @contextmanager
    def open(self) -> Iterator[tuple[Path, Path]]:
        with new_file(self.manifest) as manifest, new_file(self.path) as path:
            yield path, manifest

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True)
class NewFiles:
    """Several files of one step by some key, with one `manifest`. `open` yields the paths to write by the same keys."""

    paths: Mapping[str, Path]
    manifest: Path

    @property
    def places(self) -> list[Path]:
        return list(self.paths.values())

    def exists(self) -> bool:
        return all(path.is_file() for path in self.paths.values())

    @contextmanager
    def open(self) -> Iterator[tuple[dict[str, Path], Path]]:
        with ExitStack() as stack:
            manifest = stack.enter_context(new_file(self.manifest))
            yield {key: stack.enter_context(new_file(path)) for key, path in self.paths.items()}, manifest

    def __str__(self) -> str:
        return ", ".join(map(str, self.paths.values()))


@dataclass(frozen=True)
class NewFolder:
    """A folder with its manifest in it; `replaceable` as in `new_folder`. `open` yields the folder to fill.

    With `made_by`, the name of a step, a folder that another one has made is refused, whatever its files are called."""

    path: str | Path
    replaceable: Collection[str]
    made_by: str | None = None

    @property
    def places(self) -> list[Path]:
        return [Path(self.path)]

    @property
    def manifest(self) -> Path:
        return Path(self.path) / MANIFEST_NAME

    def exists(self) -> bool:
        return self.manifest.is_file()

    @contextmanager
    def open(self) -> Iterator[tuple[Path, Path]]:
        if self.made_by is not None:
            self._refuse_what_others_made()
        with new_folder(self.path, (*self.replaceable, MANIFEST_NAME)) as folder:
            yield folder, folder / MANIFEST_NAME

    def _refuse_what_others_made(self) -> None:
        folder = Path(self.path)
        if not (folder.is_dir() and any(folder.iterdir())):
            return
        manifest = read_json(self.manifest, f"remove {folder}") if self.exists() else {}
        if manifest.get("step") != self.made_by:
            raise InputError(f"{folder}: holds what this step did not make; {_NAME_ANOTHER}")

    def __str__(self) -> str:
        return str(self.path)


Output = NewFile | NewFiles | NewFolder
"""What a step writes: `exists` says whether it is there under its final names (`places`), `open` holds it and yields
where to write it and where to write its manifest, which is renamed last; `str()` names it to the user."""


@contextmanager
def new_file(path: str | Path) -> Iterator[Path]:
    """Yield a path to write; on success it replaces `path` in one rename.

    Raises `InputError` when another process is writing the same output.
    """
    path = Path(path)
    partial = _neighbour(path, "partial")
    with held(path):
        _remove(partial)
        try:
            with errors_named(path.parent, partial):  # of several open files any may have failed, but all lie there
                yield partial
                flush_to_disk(partial)
                partial.replace(path)
        finally:
            _remove(partial)


def write_file(path: str | Path, text: str) -> None:
    """Write `text` to `path` in UTF-8, complete or not at all."""
    with new_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


@contextmanager
def new_folder(path: str | Path, replaceable: Collection[str]) -> Iterator[Path]:
    """Yield an empty folder to fill; on success it takes the place of `path`.

    `replaceable` are glob patterns of what an earlier output of the same step holds: an existing folder with any other
    file in it is somebody else's and is refused with an `InputError`, before any work is done.
    """
    path = Path(path)
    partial, former = _neighbour(path, "partial"), _neighbour(path, "former")
    with held(path):
        _refuse_foreign_files(path, replaceable)
        _remove(partial)
        _remove(former)
        partial.mkdir()
        try:
            with errors_named(path, partial):
                yield partial
                for file in partial.rglob("*"):
                    flush_to_disk(file)
                if path.exists():
                    path.rename(former)
                partial.rename(path)
            _remove(former)
        finally:
            _remove(partial)


def remove_remains(path: Path) -> None:
    """Remove what a process that was killed after the output `path` was complete, and before it had tidied up, left
    beside it: a lock, the former folder. Nothing is removed where another process writes the output now."""
    path = Path(os.path.abspath(path))  # `.` may be a complete output, too
    partial, former, lock = (_neighbour(path, role) for role in ("partial", "former", "lock"))
    if partial.exists() or former.exists() or lock.exists():
        with suppress(InputError, OSError), held(path):  # which removes the lock; OSError: nobody may write here
            _remove(partial)
            _remove(former)


@contextmanager
def errors_named(path: Path, partial: Path) -> Iterator[None]:
    """Give a failed write the name that the user knows, `path`, if it has none (a full disk) or that of `partial`."""
    try:
        yield
    except OSError as error:
        if error.filename is None or Path(str(error.filename)).is_relative_to(partial):
            error.filename = str(path)
        raise


@contextmanager
def system_errors() -> Iterator[None]:
    """Raise as the `OSError` that it is what tokenizers and safetensors say in words."""
    try:
        yield
    except Exception as error:
        number = number_in_words(error)
        if isinstance(error, OSError) or number is None:
            raise
        raise OSError(number, os.strerror(number)) from error


def number_in_words(error: Exception) -> int | None:
    """The number of the system's error that a library written in Rust tells as `(os error 28)`."""
    told = re.search(r"\(os error (\d+)\)", str(error))
    return int(told[1]) if told else None


def _neighbour(path: Path, role: str) -> Path:
    if path.name in ("", ".."):  # of . and / there is nothing beside that could take their place
        raise InputError(f"{path}: cannot be replaced by an output; {_NAME_ANOTHER}")
    return path.with_name(f".{path.name}.{role}")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def flush_to_disk(path: Path) -> None:
    """Have the disk hold what was written to a file or into a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refuse_foreign_files(path: Path, replaceable: Collection[str]) -> None:
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise InputError(f"{path}: expected a folder, found a file or a link; {_NAME_ANOTHER}")
    for entry in sorted(path.iterdir()) if path.exists() else ():
        if not any(entry.match(pattern) for pattern in replaceable):
            advice = f"{_NAME_ANOTHER} (it is replaced as a whole)"
            raise InputError(f"{path}: holds {entry.name}, which this step does not make; {advice}")


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the output `path` alone; `InputError` when another process does. The lock ends with the process."""
    lock = _neighbour(path, "lock")
    with _folders_above(path):
        while True:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = lock.open("a+", encoding="utf-8")
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                handle.seek(0)
                holder = handle.read().strip() or "another process"
                handle.close()
                raise InputError(f"{path}: is being written by {holder}; wait for it or stop it") from None
            # The former holder may have removed the file between our open and our lock.
            if lock.exists() and os.path.samestat(os.fstat(handle.fileno()), lock.stat()):
                break
            handle.close()
        try:
            with errors_named(path.parent, lock):
                since = time.strftime("%Y-%m-%d %H:%M:%S")
                holder = f"process {os.getpid()} on {socket.gethostname()} ({Path(sys.argv[0]).name}, since {since})"
                os.truncate(handle.fileno(), 0)
                os.write(handle.fileno(), holder.encode())
            yield
        finally:
            lock.unlink(missing_ok=True)
            handle.close()


@contextmanager
def _folders_above(path: Path) -> Iterator[None]:
    """Remove at the end what is empty of the folders above `path` that were missing at the beginning."""
    missing = [folder for folder in path.parents if not folder.exists()]
    try:
        yield
    finally:
        with suppress(OSError):  # one that holds the output, or another's
            for folder in missing:
                folder.rmdir()
