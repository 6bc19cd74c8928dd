"""Does this machine have what a file of configs/accelerate/ asks for? And what the libraries are told about it."""

import os
import warnings
from pathlib import Path
from typing import Any

import yaml

from leia.errors import InputError


def processes_here(config_file: str, num_processes: int | None, num_machines: int | None) -> int:
    """How many processes the launch starts on this machine; the numbers given win over those of the file.

    Raises `InputError` for a file that is none of accelerate's, when fewer processes would start than it asks for, and
    when they are to be on more GPUs than are here.
    """
    config = _read(Path(config_file))
    processes = num_processes or config.get("num_processes") or 1
    asked = processes // max(1, num_machines or config.get("num_machines") or 1)
    kind = config.get("distributed_type") or "NO"
    if processes > 1 and kind in ("NO", "MULTI_CPU"):
        raise InputError(
            f"{config_file}: asks for {processes} processes, of which distributed_type {kind} starts one; "
            "MULTI_GPU is accelerate's word for several (with use_cpu: true on a CPU)"
        )
    if config.get("use_cpu"):
        return asked
    import torch

    found = torch.accelerator.device_count()
    if asked > found:
        other = (
            "ACCELERATE_CONFIG=configs/accelerate/cpu.yaml is for a CPU"
            if not found
            else f"LAUNCH_ARGS='--num_processes {found}' takes these"
            if found > 1
            else "ACCELERATE_CONFIG=configs/accelerate/single_gpu.yaml is for one"
        )
        gpus = "1 GPU" if asked == 1 else f"{asked} GPUs"
        raise InputError(f"{config_file}: asks for {gpus} on this machine, it has {found}; {other}")
    return asked


def _read(path: Path) -> dict[str, Any]:
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: is no YAML file: {error}") from error
    if not isinstance(config, dict) or not {"compute_environment", "distributed_type"} & config.keys():
        raise InputError(f"{path}: is no configuration of accelerate; configs/accelerate/ holds some")
    return config


def without_gpu() -> None:
    """Tell DeepSpeed, which transformers imports, that there is no GPU where there is none; else it warns."""
    import torch

    if not torch.accelerator.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")


def without_compiler() -> None:
    """Keep DeepSpeed from compiling, at the start of a run, a sum over the memory of CPU processes that training never
    calls. torch guards a compilation by a file, which a killed run leaves behind and all later ones would wait for.
    """
    import deepspeed

    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False


def without_outdated_calls() -> None:
    """Say nothing of the former names by which DeepSpeed (at each step) and peft call torch and transformers."""
    for name in (r"torch\.distributed\.\w+", "is_gradient_checkpointing"):
        warnings.filterwarnings("ignore", f"`{name}` is deprecated", FutureWarning)
