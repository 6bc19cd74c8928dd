"""What a step read, kept and dropped, and from what: counted in a `Tally`, written as the manifest of its output.

A manifest is JSON: `step`, `inputs` (name, bytes, SHA-256), `options`, `versions`, `tally`. It holds no time and no
path, so that two runs on two machines write the same bytes. For an output file it is `NAME.manifest.json` beside it,
for an output folder it is `manifest.json` in it.
"""

import hashlib
import json
import platform
import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from leia.base.errors import InputError

MANIFEST_NAME = "manifest.json"
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

    @property
    def read(self) -> int:
        return self.kept + sum(self.dropped.values())

    def drop(self, reason: str, count: int = 1) -> None:
        if count:
            self.dropped[reason] += count

    def add(self, other: "Tally") -> None:
        """Count in what another worker counted of the same unit."""
        self.kept += other.kept
        self.dropped.update(other.dropped)

    def as_dict(self) -> dict[str, Any]:
        reasons = dict(sorted(self.dropped.items(), key=lambda item: (-item[1], item[0])))
        return {"read": self.read, "kept": self.kept, "dropped": reasons}

    def __str__(self) -> str:
        note = f", {self.note}" if self.note else ""
        lines = [f"{self.unit}: {self.read:,} read, {self.kept:,} kept{note}"]
        counts = self.as_dict()["dropped"]
        lines += [f"{count:>12,}  dropped: {reason}" for reason, count in counts.items()]
        return "\n".join(lines)


def identify(path: Path) -> dict[str, Any]:
    """Name, size in bytes and SHA-256 of a file, or of a folder by its files in the order of their names."""
    if path.is_dir():
        parts = [identify(file) for file in _files_of(path)]
        digest = hashlib.sha256("\n".join(part["sha256"] for part in parts).encode()).hexdigest()
        return {"name": path.name, "bytes": sum(part["bytes"] for part in parts), "sha256": digest}
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"name": path.name, "bytes": path.stat().st_size, "sha256": digest}


class InputIdentities:
    """Identities of the inputs, hashed in a thread while the step does its work. An abandoned thread dies with it."""

    def __init__(self, paths: Iterable[str | Path]) -> None:
        self._identities: list[dict[str, Any]] = []
        self._error: OSError | None = None
        self._thread = threading.Thread(target=self._hash, args=([Path(path) for path in paths],), daemon=True)
        self._thread.start()

    def _hash(self, paths: list[Path]) -> None:
        try:
            self._identities = [identify(path) for path in paths]
        except OSError as error:
            self._error = error

    def result(self) -> list[dict[str, Any]]:
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._identities


def write_manifest(
    path: Path, step: str, inputs: InputIdentities, options: Mapping[str, Any], tallies: Sequence[Tally]
) -> None:
    """Write the manifest of one step to `path`."""
    manifest = {
        "step": step,
        "inputs": inputs.result(),
        "options": dict(options),
        "versions": versions(),
        "tally": {tally.unit: tally.as_dict() for tally in tallies},
    }
    path.write_text(json.dumps(manifest, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def was_made_from(manifest_file: str | Path, tokenizer: str, *inputs: str | Path) -> bool:
    """Whether the output of this manifest is there and was made from `inputs` (and with `tokenizer`, a name or "").

    Told by names and sizes, without reading what may be 100 GB; of an input that is gone since, by its name.
    """
    try:
        manifest = json.loads(Path(manifest_file).read_text(encoding="utf-8"))
        recorded = {identity["name"]: identity["bytes"] for identity in manifest["inputs"]}
    except (OSError, ValueError, KeyError, TypeError):  # no manifest, or a damaged one
        return False
    present = {path.name: _size(path) if path.exists() else recorded.get(path.name) for path in map(Path, inputs)}
    return recorded == present and tokenizer in ("", manifest["options"].get("tokenizer", {}).get("name"))


def _size(path: Path) -> int:
    """Bytes as `identify` counts them."""
    if path.is_dir():
        return sum(file.stat().st_size for file in _files_of(path))
    return path.stat().st_size


def _files_of(folder: Path) -> list[Path]:
    """The files that make it what it is, in the order of their names."""
    files = (file for file in sorted(folder.rglob("*")) if file.is_file())
    return [file for file in files if file.name != MANIFEST_NAME and not fnmatch(file.name, CACHE_FILES)]


def kept_by_step(output: str | Path, step: str) -> int | None:
    """How many the `step` that made this file or folder kept; None where no manifest of that step is there."""
    manifest = read_manifest(output) or {}
    tallies = manifest.get("tally", {}).values() if manifest.get("step") == step else ()
    return sum(tally["kept"] for tally in tallies) if tallies else None


def read_manifest(output: str | Path) -> dict[str, Any] | None:
    """The manifest in an output folder or beside an output file; None where there is none (the published scripts write
    none).

    Raises `InputError` for one that is no JSON object.
    """
    path = Path(output) / MANIFEST_NAME if Path(output).is_dir() else Path(f"{output}.{MANIFEST_NAME}")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise InputError(f"{path}: is no JSON ({error}); run the step that makes {output} again") from error
    if not isinstance(manifest, dict):
        raise InputError(f"{path}: is no manifest; run the step that makes {output} again")
    return manifest


def versions() -> dict[str, str]:
    """The versions that an output can depend on; a package that is not installed is left out."""
    found = {"python": platform.python_version()}
    for package in ("leia", "torch", "transformers", "tokenizers", "datasets", "pyarrow"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
