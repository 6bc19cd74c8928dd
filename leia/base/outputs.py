"""Outputs that are whole or not there: written beside their final name, renamed at the end, held by one process.

`new_file` and `new_folder` yield a hidden neighbour of the output (`.NAME.partial`) to write to. When the block ends
well it takes the final name in one rename; when it fails it is removed; when the process was killed the next run of
the same step removes it. A lock file (`.NAME.lock`) says who is writing. Folders above it are made; when it fails, they
are removed again.
"""

import fcntl
import json
import os
import shutil
import socket
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from leia.base.errors import InputError


@contextmanager
def new_file(path: str | Path) -> Iterator[Path]:
    """Yield a path to write; on success it replaces `path` in one rename.

    Raises `InputError` when another process is writing the same output.
    """
    path = Path(path)
    partial = _neighbour(path, "partial")
    with held(path):
        partial.unlink(missing_ok=True)
        try:
            with errors_named(path.parent, partial):  # of several open files any may have failed, but all lie there
                yield partial
                _flush_to_disk(partial)
                partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def write_json(path: str | Path, content: Any) -> None:
    """Write `content` as indented JSON, UTF-8, whole or not at all."""
    with new_file(path) as partial:
        partial.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


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
        _remove_folder(partial)
        _remove_folder(former)
        partial.mkdir()
        try:
            with errors_named(path, partial):
                yield partial
                for file in partial.rglob("*"):
                    _flush_to_disk(file)
                if path.exists():
                    path.rename(former)
                partial.rename(path)
            _remove_folder(former)
        finally:
            _remove_folder(partial)


@contextmanager
def errors_named(path: Path, partial: Path) -> Iterator[None]:
    """Give a failed write the name that the user knows, `path`, if it has none (a full disk) or that of `partial`."""
    try:
        yield
    except OSError as error:
        if error.filename is None or Path(str(error.filename)).is_relative_to(partial):
            error.filename = str(path)
        raise


def _neighbour(path: Path, role: str) -> Path:
    if path.name in ("", ".."):  # of . and / there is nothing beside that could take their place
        raise InputError(
            f"{path}: cannot be replaced by an output; name a new folder or an earlier output of this step"
        )
    return path.with_name(f".{path.name}.{role}")


def _remove_folder(path: Path) -> None:
    if path.exists():
        shutil.rmtree(path)


def _flush_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refuse_foreign_files(path: Path, replaceable: Collection[str]) -> None:
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise InputError(f"{path}: is no folder; name a new folder or an earlier output of this step")
    for entry in sorted(path.iterdir()) if path.exists() else ():
        if not any(entry.match(pattern) for pattern in replaceable):
            raise InputError(
                f"{path}: holds {entry.name}, which this step does not make; "
                "name a new folder or an earlier output of this step (it is replaced whole)"
            )


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the output `path` alone. The lock ends with the process, however that ends."""
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
