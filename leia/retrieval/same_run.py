"""Is what lies in a folder from the same inputs and settings? Hours of a GPU are not replaced without a word."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from leia.base.errors import UsageError
from leia.base.outputs import MANIFEST_NAME
from leia.base.step import FilesIn, identify, read_manifest, was_made_from


def identity_of(place: str) -> dict[str, str]:
    """What a model or a collection is: of a folder its name and a hash of its files, else its id on a hub."""
    path = Path(place)
    return {"name": path.name, "sha256": identify(path)["sha256"]} if path.is_dir() else {"id": place}


def check_same(
    made: Path, folder: Path, step: str, inputs: Sequence[Path | FilesIn], options: Mapping[str, Any]
) -> None:
    """Raise `UsageError` where the folder `made`, in `folder`, was made from something else by its manifest."""
    if was_made_from(made / MANIFEST_NAME, inputs, step, options):
        return
    before = (read_manifest(made) or {}).get("options", {})
    changed = [f"{key} was {before.get(key)}, is {value}" for key, value in options.items() if before.get(key) != value]
    found = "; ".join(changed) or "its inputs were others"
    raise UsageError(f"{folder}: holds another run ({found}); name another folder, or begin anew with --overwrite")
