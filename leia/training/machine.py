"""The machine of a run, as far as its settings and its memory depend on it: from the variables of a launched process,
or, where nothing is launched (a dry run), from a file of accelerate."""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import TrainingArguments


@dataclass(frozen=True)
class Machine:
    """`processes`: on all nodes together. `sharding`: none (one process, or DDP), FSDP, or ZeRO-1, ZeRO-2, ZeRO-3 of
    DeepSpeed. `reshards`: FSDP holds the weights of one layer at a time. `fsdp_recomputes`, `compiler`: what accelerate
    would do to layers by itself."""

    processes: int = 1
    sharding: str = "none"
    on_cpu: bool = False
    offloads_optimizer: bool = False
    reshards: bool = True
    fsdp_recomputes: bool = False
    compiler: str = "no"

    @property
    def uses_deepspeed(self) -> bool:
        return self.sharding.startswith("ZeRO")


def machine_of_process(args: "TrainingArguments") -> Machine:
    """The machine on which this process of a run was started."""
    plugin = args.deepspeed_plugin
    fsdp = bool(args.fsdp) or os.environ.get("ACCELERATE_USE_FSDP") == "true"
    recomputes = args.fsdp_config.get("activation_checkpointing") if args.fsdp else None  # else nobody reads it
    return Machine(
        args.world_size,
        f"ZeRO-{plugin.zero_stage}" if plugin else "FSDP" if fsdp else "none",
        on_cpu=args.device.type == "cpu",
        fsdp_recomputes=_is_true(recomputes) or _is_true(os.environ.get("FSDP_ACTIVATION_CHECKPOINTING")),
        compiler=os.environ.get("ACCELERATE_DYNAMO_BACKEND", "no").lower(),
    )


def machine_of_file(settings: dict[str, Any]) -> Machine:
    """The machine that the settings of a file of accelerate describe."""
    kind = settings.get("distributed_type") or "NO"
    deepspeed, fsdp = settings.get("deepspeed_config") or {}, settings.get("fsdp_config") or {}
    stage = deepspeed.get("zero_stage", 2)  # accelerate's default
    dynamo = settings.get("dynamo_config") or {}
    return Machine(
        settings.get("num_processes") or 1,
        {"DEEPSPEED": f"ZeRO-{stage}", "FSDP": "FSDP"}.get(kind, "none"),
        on_cpu=_is_true(settings.get("use_cpu")),
        offloads_optimizer=deepspeed.get("offload_optimizer_device", "none") != "none",
        reshards=_is_true(fsdp.get("fsdp_reshard_after_forward", True)),
        fsdp_recomputes=_is_true(fsdp.get("fsdp_activation_checkpointing")),
        compiler=str(settings.get("dynamo_backend") or dynamo.get("dynamo_backend") or "no").lower(),
    )


def _is_true(value: Any) -> bool:
    return str(value).lower() == "true"
