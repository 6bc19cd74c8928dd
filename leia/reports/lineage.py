"""From which dumps, by which steps, was a dataset made? Told by its manifest and by those of the files that it names.

A manifest holds the names and the SHA-256 of a step's inputs, and no paths. An input is looked for in some folders. It
is taken where its content is what the manifest says; then its own manifest leads further.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from leia.base.errors import InputError
from leia.base.step import identify, read_manifest
from leia.base.text import read_json

ID_FILES_MANIFEST = "wikidata-ids.manifest.json"  # one of all id files in a folder


@dataclass(frozen=True)
class Source:
    """A file or folder: its name, bytes and SHA-256 as a manifest has them, where it lies and its own manifest (None
    where it was not found or has none, as a dump) and what it was made from."""

    name: str
    bytes: int
    sha256: str
    path: Path | None = None
    manifest: Mapping[str, Any] | None = None
    inputs: list["Source"] = field(default_factory=list)


def sources_of(manifest: Mapping[str, Any] | None, dataset_dir: Path, given: Sequence[Path]) -> list[Source]:
    """What the dataset with this `manifest` was made from.

    Inputs are looked for beside the dataset, and `given` ones, under any name, first. Raises `InputError` for one of
    `given` that is no input of the dataset.
    """
    inputs = (manifest or {}).get("inputs", [])
    contents = {path: identify(path)["sha256"] for path in given}
    for path, sha256 in contents.items():
        if sha256 not in [one["sha256"] for one in inputs]:
            expected = ", ".join(one["name"] for one in inputs) or "no input, as it has no manifest.json"
            raise InputError(
                f"{path}: is not what {dataset_dir} was made from; expected, by its manifest, {expected}; "
                "name the very folder or file, or leave the option out"
            )
    paths = {sha256: path for path, sha256 in contents.items()}
    folders = list(dict.fromkeys(path.resolve().parent for path in (dataset_dir, *given)))
    return [_follow(one, paths, folders) for one in inputs]


def _follow(identity: Mapping[str, Any], paths: Mapping[str, Path], folders: Sequence[Path]) -> Source:
    name, size, sha256 = identity["name"], identity["bytes"], identity["sha256"]
    candidates = [paths[sha256]] if sha256 in paths else [folder / name for folder in folders]
    for path in candidates:
        manifest = _manifest_of(path)
        if manifest is not None and (sha256 in paths or identify(path)["sha256"] == sha256):
            inputs = [_follow(one, {}, folders) for one in manifest.get("inputs", [])]
            return Source(name, size, sha256, path, manifest, inputs)
    return Source(name, size, sha256)


def _manifest_of(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    of_ids = path.with_name(ID_FILES_MANIFEST)
    if path.name.endswith("-wikidata-ids.tsv") and of_ids.is_file():
        return read_json(of_ids, f"run the step that makes {path} again")
    return read_manifest(path)


def all_manifests(manifest: Mapping[str, Any] | None, sources: Sequence[Source]) -> list[Mapping[str, Any]]:
    """Those of all `sources` that have one, then that of the dataset made from them."""
    return [one for one in (*(source.manifest for source in all_sources(sources)), manifest) if one is not None]


def all_sources(sources: Sequence[Source]) -> Iterator[Source]:
    """Each source once, by its content: what it was made from stands before it."""
    seen: set[str] = set()

    def walk(source: Source) -> Iterator[Source]:
        for one in source.inputs:
            yield from walk(one)
        if source.sha256 not in seen:
            seen.add(source.sha256)
            yield source

    for source in sources:
        yield from walk(source)
