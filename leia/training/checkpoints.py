"""Checkpoints that are complete or not there, and that belong to one run.

A checkpoint is written into `OUTPUT_DIR/.partial/` and takes its name `checkpoint-STEP` in one rename when all
processes are done; the folder is shared by all nodes. Beside what transformers saves it holds `stream.json` (where the
data continues), `run.json` (what the run is made of) and `files.json` (the bytes of its files). The final model is put
into OUTPUT_DIR in the same way, its `config.json` last: a folder with a `config.json` holds a complete model.
"""

import errno
import os
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from leia.base.errors import InputError
from leia.base.outputs import flush_to_disk, number_in_words
from leia.base.text import read_json, to_json

RUN_FILE = "run.json"
STREAM_FILE = "stream.json"
LOG_FILE = "trainer_state.json"
FILES_FILE = "files.json"


def steps_saved(output_dir: Path) -> list[int]:
    """The steps of the checkpoints in `output_dir`, ascending."""
    names = (path.name.removeprefix("checkpoint-") for path in output_dir.glob("checkpoint-*"))
    return sorted(int(name) for name in names if name.isdigit())


def newest_checkpoint(output_dir: Path) -> Path | None:
    steps = steps_saved(output_dir)
    return output_dir / f"checkpoint-{steps[-1]}" if steps else None


def is_finished(output_dir: Path) -> bool:
    """Whether the folder holds the final model."""
    return (output_dir / "config.json").is_file()


def partial_folder(output_dir: Path) -> Path:
    return output_dir / ".partial"


def remove_leftovers(output_dir: Path) -> None:
    """Remove what a killed process was writing or removing."""
    shutil.rmtree(partial_folder(output_dir), ignore_errors=True)


def publish_checkpoint(output_dir: Path, step: int, documents: dict[str, Any], keep: int | None) -> None:
    """Add `documents` (JSON by file name) to the written checkpoint, give it its name, remove all but `keep`."""
    folder = partial_folder(output_dir) / f"checkpoint-{step}"
    for name, document in documents.items():
        (folder / name).write_text(to_json(document, indent=1), encoding="utf-8")
    # The log holds speeds and may be cut off; transformers' record of its arguments holds the folder's name.
    unequal = (LOG_FILE, "training_args.bin")
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in unequal)
    sizes = {str(path.relative_to(folder)): path.stat().st_size for path in files}
    (folder / FILES_FILE).write_text(to_json(sizes, indent=1), encoding="utf-8")
    _flush(folder)
    final = output_dir / folder.name
    if final.exists():
        _remove(final)
    folder.rename(final)
    keep_newest(output_dir, keep or None)


def keep_newest(output_dir: Path, number: int | None) -> None:
    """Remove all checkpoints but the newest `number` (None: keep all), and what a killed process left."""
    partial_folder(output_dir).mkdir(exist_ok=True)
    steps = steps_saved(output_dir)
    for old in steps[: max(0, len(steps) - number)] if number is not None else ():
        _remove(output_dir / f"checkpoint-{old}")
    remove_leftovers(output_dir)


def check_whole(checkpoint: Path) -> None:
    """Raise `InputError` when a file of `checkpoint` is missing or cut off: without its optimizer, say, transformers
    would continue with a new one. Sizes tell, whatever saved the files (DDP, DeepSpeed, FSDP, adapters)."""
    read_saved(checkpoint / LOG_FILE)
    for name, size in read_saved(checkpoint / FILES_FILE).items():
        file = checkpoint / name
        found = file.stat().st_size if file.is_file() else None
        if found != size:
            what = "is missing" if found is None else f"has {found:,} bytes, was saved with {size:,}"
            raise InputError(
                f"{file}: {what}; remove {checkpoint}, then RESUME=1 ./train.sh (--resume_from_checkpoint last) "
                "continues from the checkpoint before, or begins again"
            )


def publish_model(output_dir: Path, folder: Path) -> None:
    """Move the files of the final model out of `folder` into `output_dir`, `config.json` last."""
    _flush(folder)
    for file in sorted(folder.iterdir(), key=lambda file: file.name == "config.json"):
        file.replace(output_dir / file.name)
    remove_leftovers(output_dir)


def _remove(checkpoint: Path) -> None:
    """Remove a checkpoint so that no half of it is ever seen under its name."""
    shutil.rmtree(checkpoint.rename(partial_folder(checkpoint.parent) / f"old-{checkpoint.name}"))


def _flush(folder: Path) -> None:
    """Have the disk hold every file."""
    make_readable(folder)
    for file in folder.rglob("*"):
        flush_to_disk(file)


def make_readable(folder: Path) -> None:
    """Have every file be for whom the umask says: safetensors makes its files private."""
    umask = os.umask(0)
    os.umask(umask)
    for file in folder.rglob("*"):
        if file.is_file():
            file.chmod(0o666 & ~umask)


@contextmanager
def clear_errors(output_dir: Path, name: str) -> Iterator[None]:
    """Say in one line why `name` could not be written, and remove what there is of it: that is what fills a disk."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        code = _error_number(error, output_dir)
        if code is None:
            raise
        advice = {errno.ENOSPC: "make space", errno.EDQUOT: "make space", errno.EFBIG: "raise the limit (ulimit -f)"}
        remove_leftovers(output_dir)
        raise InputError(
            f"{output_dir / name}: {os.strerror(code)}; {advice.get(code, 'correct that')}, then RESUME=1 "
            "./train.sh (--resume_from_checkpoint last) continues from the checkpoint before"
        ) from error


def _error_number(error: Exception, folder: Path) -> int | None:
    """Of the file system's error: torch and safetensors each have their own words for it."""
    if isinstance(error, OSError):
        return error.errno
    if (number := number_in_words(error)) is not None:
        return number
    if "PytorchStreamWriter" not in str(error) and "inline_container" not in str(error):
        return None
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    full = limit == resource.RLIM_INFINITY or shutil.disk_usage(folder).free < 1 << 20
    return errno.ENOSPC if full else errno.EFBIG


def read_saved(path: Path) -> dict[str, Any]:
    """The JSON object in a file of a checkpoint or final model."""
    try:
        return read_json(path, "expected a checkpoint or model of train.py")
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file; expected a checkpoint or model of train.py") from error


def check_same_run(folder: Path, run: dict[str, Any]) -> None:
    """Raise `InputError` when `folder`, a checkpoint or a final model, is of a run with other settings than `run`."""
    saved, run = _flat(read_saved(folder / RUN_FILE)), _flat(run)
    # A setting that a run does not have is off in it.
    changed = [key for key in saved | run if saved.get(key) != run.get(key) and (saved.get(key) or run.get(key))]
    if changed:
        differences = ", ".join(f"{key} {saved.get(key)} (now {run.get(key)})" for key in changed)
        raise InputError(
            f"{folder}: belongs to another run, with {differences}; "
            "continue with the same settings or choose another --output_dir"
        )


def _flat(settings: dict[str, Any], within: str = "") -> dict[str, Any]:
    """Settings within settings by names like `sources, spanish, weight`, beside the order of those that have names."""
    flat = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            flat |= {f"{within}{name}": list(value)} | _flat(value, f"{within}{name}, ")
        else:
            flat[f"{within}{name}"] = value
    return flat
