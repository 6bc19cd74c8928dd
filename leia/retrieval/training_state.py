"""What a training goes on from, beside its model, in one file of safetensors: no pickle, which could run code."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from leia.base.outputs import system_errors


class TrainingState(NamedTuple):
    """`tensors`: the moments of Adam, and the generators of torch in each process; `values`: the rest, for JSON."""

    tensors: dict[str, torch.Tensor]
    values: dict[str, Any]

    def save(self, path: Path) -> None:
        tensors = {name: tensor.contiguous() for name, tensor in self.tensors.items()}
        with system_errors():
            save_file(tensors, path, metadata={"values": json.dumps(self.values)})


def load_state(path: Path) -> TrainingState:
    """Raises `OSError`, `SafetensorError`, `ValueError`, `LookupError` or `TypeError` for what `save` did not write."""
    with safe_open(path, framework="pt") as file:
        values = json.loads(file.metadata()["values"])
    return TrainingState(load_file(path), values)
