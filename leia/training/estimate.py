"""What a run needs of a GPU's memory and of the disk, reckoned before it begins; no weights are read.

Weights, gradients and states are counts of parameters times bytes: AdamW has two numbers for each trained parameter
(arXiv 1711.05101), in 8 bits two bytes and a scale of 4 bytes for 256 of each (torchao); DeepSpeed keeps a 32-bit copy
of 16-bit weights and shares out states, gradients, weights as its stages say (arXiv 1910.02054). What backward needs is
counted on one pass of the model on the `meta` device, which computes nothing, and is an estimate: kernels keep more or
less than PyTorch's own operations do, and the allocator breaks memory up.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any
from unittest.mock import patch

import torch
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoConfig, AutoModelForCausalLM

from leia.training.layers import is_kept, layers_of
from leia.training.losses import LOGITS_AT_ONCE, run_model
from leia.training.machine import Machine
from leia.training.weights import wanted_dtype

STATE_BYTES = {"8bit": 2 + 2 * 4 / 256, "32bit": 8.0}
FOUR_BITS = 0.5 + (1 + 4 / 256) / 64
"""Bytes of a weight: a scale of 8 bits for 64 of them, and one of 32 bits for 256 scales (arXiv 2305.14314)."""
MOST_GATHERED = 10**9
"""Parameters that ZeRO-3 holds gathered at once, at most (DeepSpeed's default)."""


@dataclass(frozen=True)
class Size:
    """Numbers of parameters: `all`, those `trained` (of adapters they stand beside the model's), those `in_layers`, and
    those of the largest layer (`of_layer`); `vocabulary` and `width` of the output layer."""

    all: int
    trained: int
    in_layers: int
    of_layer: int
    vocabulary: int
    width: int


@dataclass(frozen=True)
class Kept:
    """Bytes that the layers keep for backward of one pass: `everything`; the `products` and attention alone; their
    `inputs` alone; and what one layer keeps at most (`of_layer`)."""

    everything: int
    products: int
    inputs: int
    of_layer: int

    def with_recomputed(self, recomputed: str) -> int:
        """A layer that is computed again keeps everything while its own backward runs."""
        return {
            "none": self.everything,
            "selective": self.inputs + self.products + self.of_layer,
            "full": self.inputs + self.of_layer,
        }[recomputed]


@dataclass(frozen=True)
class Memory:
    """Bytes on one GPU, by what they are for."""

    weights: float
    gradients: float
    optimizer: float
    activations: float
    output_layer: float

    @property
    def total(self) -> float:
        return sum(asdict(self).values())


def size_of(model: torch.nn.Module) -> Size:
    """The size of a model of any device, with adapters or without."""
    weights = list(model.parameters())
    layers = [sum(weight.numel() for weight in layer.parameters()) for layer in layers_of(model)] or [0]
    output = model.get_output_embeddings()
    rows, width = output.weight.shape if output is not None else (0, 0)
    return Size(
        sum(weight.numel() for weight in weights),
        sum(weight.numel() for weight in weights if weight.requires_grad),
        sum(layers),
        max(layers),
        rows,
        width,
    )


def memory(
    size: Size,
    kept: Kept,
    machine: Machine,
    *,
    tokens: int,
    bf16: bool,
    recomputed: str,
    compiled: bool,
    optimizer: str,
    four_bits: bool = False,
) -> Memory:
    """The memory of one process at its peak. `tokens`: of a micro batch; `optimizer`: transformers' name for it;
    `four_bits`: the layers below adapters have them."""
    lora, width = size.trained < size.all, 2 if bf16 else 4
    states = state_bytes(size, optimizer)
    gradients, parts = 4.0 * size.trained, machine.processes
    frozen = size.all - size.trained
    if machine.uses_deepspeed:
        states = 0.0 if machine.offloads_optimizer else (states + 4 * size.trained) / parts
        weights = width * size.all
        if machine.sharding in ("ZeRO-2", "ZeRO-3"):
            gradients /= parts
        if machine.sharding == "ZeRO-3":
            weights = width * (size.all / parts + min(size.all, MOST_GATHERED))
    else:
        weights = width * frozen + 4 * size.trained if lora else 4 * size.all
        if four_bits:
            weights -= (width - FOUR_BITS) * (size.in_layers - size.trained)
        if machine.sharding == "FSDP":
            states, weights = states / parts, weights / parts
            weights += width * (size.of_layer + size.vocabulary * size.width if machine.reshards else size.all)
            gradients /= parts if machine.reshards else 1
        elif bf16 and not lora:  # what autocast makes in 16 bits lives as long as the forward pass
            weights += 2 * (size.of_layer if compiled else size.in_layers)
    vocabulary, logits = size.vocabulary * size.width, min(tokens * size.vocabulary, LOGITS_AT_ONCE)
    output = 2 * tokens * size.width * width + logits * (4 + 2 * width)  # inputs, gradients; logits, their logarithms
    output += vocabulary * width + (0 if lora else 4 * vocabulary)  # weights filled up; their gradient
    return Memory(weights, gradients, states, kept.with_recomputed(recomputed), output)


def state_bytes(size: Size, optimizer: str) -> float:
    """Of AdamW's states. Those of input embeddings keep 32 bits in bitsandbytes, which transformers asks it to."""
    if "8bit" not in optimizer:
        return STATE_BYTES["32bit"] * size.trained
    wide = size.vocabulary * size.width if "torch" not in optimizer and size.trained == size.all else 0
    return STATE_BYTES["8bit"] * (size.trained - wide) + STATE_BYTES["32bit"] * wide


def checkpoint_bytes(size: Size, machine: Machine, bf16: bool, optimizer: str) -> float:
    """Of one checkpoint: whole weights and all states. FSDP saves its weights once more, to continue with."""
    states = state_bytes(size, optimizer)
    if size.trained < size.all:  # adapters, and both embeddings (peft)
        return 4 * size.trained + 2 * (2 if bf16 else 4) * size.vocabulary * size.width + states
    if machine.uses_deepspeed:
        return (2 if bf16 else 4) * size.all + 4 * size.all + states
    return (8 if machine.sharding == "FSDP" else 4) * size.all + states


def bytes_of_models(name_or_path: str) -> tuple[float, float] | None:
    """Of a finished model in the precision of its base, and of a checkpoint of all its weights in training under
    DeepSpeed in bf16, the paper's; None where its config is not on this machine."""
    try:
        config = AutoConfig.from_pretrained(name_or_path, local_files_only=True)
        with torch.device("meta"):
            size = size_of(AutoModelForCausalLM.from_config(config))
    except (OSError, ValueError, ImportError):
        return None
    dtype = wanted_dtype("auto", config.to_dict())
    final = (dtype.itemsize if dtype else 2) * size.all
    return final, checkpoint_bytes(size, Machine(sharding="ZeRO-3"), bf16=True, optimizer="")


def kept_for_backward(model: torch.nn.Module, sequences: int, length: int) -> Kept:
    """Count what one pass of `model`, on the meta device, keeps. Raises what the model raises where it cannot run
    without numbers. Attention is taken to keep what flash attention keeps, not all its scores."""
    layers, of_layers, inputs = layers_of(model), [], []
    kept: dict[int, int] = {}
    held: list[Any] = []  # so that no other storage gets the place of one

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if not isinstance(tensor if tensor._base is None else tensor._base, torch.nn.Parameter):
            storage = tensor.untyped_storage()
            held.append(storage)
            kept[storage._cdata] = storage.nbytes()
        return tensor

    def before(_: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        inputs.append((given[0] if given else named["hidden_states"]).nbytes)
        of_layers.append(-sum(kept.values()))

    def after(*_: Any) -> None:
        of_layers[-1] += sum(kept.values())

    hooks = [layer.register_forward_pre_hook(before, with_kwargs=True) for layer in layers]
    hooks += [layer.register_forward_hook(after) for layer in layers]
    output, products = model.get_output_embeddings(), _Products()
    if output is not None:  # its part is reckoned apart
        former, output.forward = output.forward, lambda hidden: hidden
    try:
        with products, products.of_attention(), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            run_model(model.train(), torch.zeros(sequences, length, dtype=torch.long, device="meta"))
    finally:
        for hook in hooks:
            hook.remove()
        if output is not None:
            output.forward = former
    return Kept(sum(kept.values()), products.bytes, sum(inputs), max(of_layers, default=0))


class _Products(TorchDispatchMode):
    """Counts what `selective` does not compute again."""

    bytes = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = function(*args, **(kwargs or {}))
        if is_kept(function):
            self.bytes += (found[0] if isinstance(found, tuple) else found).nbytes
        return found

    @contextmanager
    def of_attention(self) -> Iterator[None]:
        """On the meta device torch's attention would be products of all scores."""

        def attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
            found = _FlashLike.apply(query, key, value)
            self.bytes += found.nbytes
            return found

        with patch.object(functional, "scaled_dot_product_attention", attention):
            yield


class _FlashLike(torch.autograd.Function):
    """Keeps what flash attention keeps."""

    @staticmethod
    def forward(ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        found = query.new_empty(*query.shape[:-1], value.shape[-1])
        ctx.save_for_backward(query, key, value, found)
        return found
