"""The weights of a finished model in the precision that is wanted, made from those of a checkpoint."""

import os
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from transformers.utils.hub import cached_file

from leia.base.errors import InputError
from leia.base.outputs import write_file
from leia.base.text import read_json, to_json

INDEX = "model.safetensors.index.json"
PRECISIONS = (torch.float32, torch.bfloat16, torch.float16)
_ADVICE = "make the model again"


def wanted_dtype(save_dtype: str, base: dict[str, Any], stored: torch.dtype | None = None) -> torch.dtype | None:
    """`auto` is the precision that the config of the base model names, else the one of its `stored` weights (None where
    that is not known: the weights stay as they were trained)."""
    name = base.get("dtype") or base.get("torch_dtype") or base.get("text_config", {}).get("dtype")
    return getattr(torch, str(name if save_dtype == "auto" else save_dtype).removeprefix("torch."), stored)


def stored_dtype(name_or_path: str) -> torch.dtype | None:
    """The precision of the first weight of a model in a folder or in the cache of the hub; None without safetensors."""
    index = cached_file(name_or_path, INDEX, _raise_exceptions_for_missing_entries=False)
    files = read_json(Path(index), _ADVICE)["weight_map"].values() if index else ["model.safetensors"]
    file = cached_file(name_or_path, min(files), _raise_exceptions_for_missing_entries=False)
    if file is None:
        return None
    with safe_open(file, framework="pt") as tensors:
        found = (tensors.get_tensor(name).dtype for name in sorted(tensors.keys()))
        return next((dtype for dtype in found if dtype in PRECISIONS), None)


def take_over(file: Path, target: Path) -> None:
    """Give `file`, which is never changed, a second name; on a file system without links copy it."""
    try:
        os.link(file, target)
    except OSError:
        shutil.copyfile(file, target)


def take_over_weights(checkpoint: Path, folder: Path, dtype: torch.dtype | None) -> None:
    """Put the weights of `checkpoint` (safetensors, one file or several with an index) into `folder`, in `dtype`. One
    file is held in memory at a time, in `dtype`. Raises `InputError` for values beyond its range."""
    for file in sorted(checkpoint.glob("model*.safetensors")):
        with safe_open(file, framework="pt") as tensors:
            changes = any(_is_in_another(tensors.get_tensor(name), dtype) for name in tensors.keys())  # noqa: SIM118
            if changes:
                converted = {name: convert(name, tensors.get_tensor(name), dtype) for name in tensors.keys()}  # noqa: SIM118
                save_file(converted, folder / file.name, tensors.metadata())
        if not changes:
            take_over(file, folder / file.name)
    for file in checkpoint.glob(INDEX):
        index = read_json(file, _ADVICE)
        sizes = [_bytes(folder / name) for name in sorted(set(index["weight_map"].values()))]
        index["metadata"] = index.get("metadata", {}) | {"total_size": sum(sizes)}
        write_file(folder / file.name, to_json(index, indent=2))


def _is_in_another(tensor: torch.Tensor, dtype: torch.dtype | None) -> bool:
    return dtype is not None and tensor.is_floating_point() and tensor.dtype != dtype


def convert(name: str, tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """`tensor` in `dtype` if it holds fractions. Raises `InputError` for values beyond its range."""
    if not tensor.is_floating_point():
        return tensor
    converted = tensor.to(dtype)
    if tensor.isfinite().all() and not converted.isfinite().all():
        short = str(dtype).removeprefix("torch.")
        raise InputError(
            f"save_dtype: {name} holds values beyond {short}; the same command with RESUME=1 and --save_dtype bfloat16 "
            "makes the model from its last checkpoint"
        )
    return converted


def _bytes(file: Path) -> int:
    with safe_open(file, framework="pt") as tensors:
        found = (tensors.get_tensor(name) for name in tensors.keys())  # noqa: SIM118
        return sum(tensor.numel() * tensor.element_size() for tensor in found)
