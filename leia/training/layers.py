"""How the layers of a model run: what backward computes again, whether they are compiled, whether in 8 bits.

All layers run through one function, which is given the layer: so torch compiles it once for all layers of a kind. Hooks
(FSDP's, DeepSpeed's) stay outside of it.
"""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.checkpoint import CheckpointPolicy, checkpoint, create_selective_checkpoint_contexts
from transformers.modeling_layers import GradientCheckpointingLayer

from leia.base.errors import InputError
from leia.base.once import say_once

_aten = torch.ops.aten
# What `selective` does not compute again.
_KEPT = {
    *(_aten.mm.default, _aten.addmm.default, _aten.bmm.default, _aten.baddbmm.default, _aten._scaled_mm.default),
    _aten._grouped_mm.default,  # of experts
    *(_aten._scaled_dot_product_flash_attention.default, _aten._scaled_dot_product_flash_attention_for_cpu.default),
    *(_aten._scaled_dot_product_efficient_attention.default, _aten._scaled_dot_product_cudnn_attention.default),
}

FP8_CAPABILITY = (8, 9)
"""That of Ada, the first generation of GPUs with 8-bit products."""


def prepare_layers(model: torch.nn.Module, recomputed: str, compiled: bool) -> None:
    """Have backward compute again what `recomputed` says of each layer of `model`: none, selective (all but matrix
    products and attention) or full; and have the layers compiled. Raises `InputError` where they cannot be found."""
    if recomputed == "none" and not compiled:
        return
    layers = layers_of(model)
    if not layers:
        whole = model.get_base_model() if hasattr(model, "get_base_model") else model  # which has the adapters in it
        raise InputError(
            f"{type(whole).__name__}: its layers are not known to transformers; "
            "take activation_checkpointing none and no torch_compile"
        )
    run = _run
    if compiled:  # it warns of operations in place, which it makes others of
        logging.getLogger("torch._higher_order_ops.wrap").setLevel(logging.ERROR)
        run = torch.compile(_run)
    elif recomputed == "selective":
        run = _run_watched
    for layer in layers:
        layer.forward = partial(run, layer, recomputed, vars(layer).get("forward"))


def layers_of(model: torch.nn.Module) -> list[torch.nn.Module]:
    """The repeated layers of `model`, in their order."""
    return [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]


def _run_watched(layer: torch.nn.Module, _: str, own: Callable | None, *args: Any, **kwargs: Any) -> Any:
    """The first pass through a layer of which products are to be kept: does it change them in place? Backward would
    take the changed ones for them, so all of such a layer is computed again."""
    if not torch.is_grad_enabled():
        return _run(layer, "none", own, *args, **kwargs)
    with _Watch() as watch:
        found = _run(layer, "full", own, *args, **kwargs)
    if watch.changed:
        say_once(f"{type(layer).__name__} changes its products in place: all of it is computed again")
    layer.forward = partial(_run, layer, "full" if watch.changed else "selective", own)
    return found


class _Watch(TorchDispatchMode):
    """`changed`: whether a product that `selective` keeps was changed in place, itself (GPT-OSS) or by a view of it
    (Gemma 3n), which torch does not notice."""

    def __init__(self) -> None:
        super().__init__()
        self.changed = False
        self._kept: dict[int, torch.Tensor] = {}  # by their places in memory, which are theirs as long as they are here

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        written = [one for one, about in zip(args, operation._schema.arguments, strict=False) if about.is_write]
        self.changed = self.changed or not self._kept.keys().isdisjoint(_places(written))
        found = operation(*args, **(kwargs or {}))
        if is_kept(operation):
            self._kept |= _places(found)
        return found


def _places(tensors: Any) -> dict[int, torch.Tensor]:
    return {
        one.untyped_storage().data_ptr(): one
        for one in tree_leaves(tensors)
        if isinstance(one, torch.Tensor) and one.untyped_storage().nbytes()
    }


def _run(layer: torch.nn.Module, recomputed: str, own: Callable | None, *args: Any, **kwargs: Any) -> Any:
    """`own`: a forward that stands at the layer itself, in place of the one of its class."""
    forward: Callable = own or partial(type(layer).forward, layer)
    if recomputed == "none":
        return forward(*args, **kwargs)
    selective = {"context_fn": _keep_products} if recomputed == "selective" else {}
    return checkpoint(forward, *args, use_reentrant=False, **selective, **kwargs)


def _keep_products() -> Any:
    return create_selective_checkpoint_contexts(_policy)


def _policy(_: Any, operation: Any, *args: Any, **kwargs: Any) -> CheckpointPolicy:
    return CheckpointPolicy.MUST_SAVE if is_kept(operation) else CheckpointPolicy.PREFER_RECOMPUTE


def is_kept(operation: Any) -> bool:
    """Whether `selective` keeps what this operation of torch gives."""
    return operation in _KEPT or operation.namespace.startswith("flash_attn")


def use_fp8(model: torch.nn.Module) -> None:
    """Have the linear layers within the layers of `model` multiply in 8 bits (torchao); weights stay as they are.
    Raises `InputError` where the library is missing or the GPU cannot."""
    if not torch.cuda.is_available() or torch.cuda.get_device_capability() < FP8_CAPABILITY:
        what = torch.cuda.get_device_name() if torch.cuda.is_available() else "a CPU"
        raise InputError(f"fp8: needs a GPU of Ada's or Hopper's generation or later, this is {what}; leave fp8 out")
    try:
        from torchao.float8 import convert_to_float8_training
    except ImportError as error:
        raise InputError(f"fp8: needs torchao ({error}); pip install torchao, or leave fp8 out") from error
    for layer in layers_of(model):
        convert_to_float8_training(layer, module_filter_fn=_fits_fp8)


def _fits_fp8(module: torch.nn.Module, _: str) -> bool:
    """8-bit products need sizes that are multiples of 16."""
    return isinstance(module, torch.nn.Linear) and not any(size % 16 for size in module.weight.shape)
