"""How the layers of a model run: what backward computes again, whether they are compiled, whether in 8 bits.

All layers run through one function, which is given the layer: so torch compiles it once for all layers of a kind. Hooks
(FSDP's, DeepSpeed's) stay outside of it.
"""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.utils.checkpoint import CheckpointPolicy, checkpoint, create_selective_checkpoint_contexts
from transformers.modeling_layers import GradientCheckpointingLayer

from leia.base.errors import InputError

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
        raise InputError(
            f"{type(model).__name__}: its layers are not known to transformers; "
            "take activation_checkpointing none and no torch_compile"
        )
    run = _run
    if compiled:  # it warns of operations in place, which layers of transformers do not have
        logging.getLogger("torch._higher_order_ops.wrap").setLevel(logging.ERROR)
        run = torch.compile(_run)
    for layer in layers:
        layer.forward = partial(run, layer, recomputed, vars(layer).get("forward"))


def layers_of(model: torch.nn.Module) -> list[torch.nn.Module]:
    """The repeated layers of `model`, in their order."""
    return [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]


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
