"""`accelerate launch` for train.sh and evaluate.sh, which asks what this machine has and says once why a run failed.

    python -m leia.training.launch --config_file configs/accelerate/zero3_8gpu.yaml scripts/train.py ...

The options are accelerate's. Left to themselves all processes print the same error, and torch's launcher, which
accelerate calls for several of them, adds a report and a traceback of its own. Here a process leaves its last words in
the file that torch names for it (`leia.base.cli`), and only those of the first one that failed are printed.
"""

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Collection
from typing import TYPE_CHECKING

import click

from leia.base.cli import fail
from leia.base.errors import InputError
from leia.base.pool import available_cores

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

import warnings
from pathlib import Path
from typing import Any

import yaml

_LOGGERS = ("torch.distributed.elastic.multiprocessing.api", "torch.distributed.elastic.agent.server.api")


def main() -> None:
    """Launch what the command line says and exit with the code of the first process that failed, or with 0."""
    # Among others torch warns, with its stack, where the first node has ended a moment before another one.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # read when torch is imported
    from accelerate.commands.launch import launch_command, launch_command_parser
    from torch.distributed.elastic.agent.server import api  # noqa: F401  # else its import would undo the level below
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    args = launch_command_parser().parse_args()
    if args.config_file:
        try:
            processes = processes_here(args.config_file, args.num_processes, args.num_machines)
        except InputError as error:
            fail(str(error))
        if processes == 1:
            os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")  # the Trainer would take all GPUs that it sees
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, available_cores() // max(1, processes))))
    without_gpu()  # the launcher imports DeepSpeed, too
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        launch_command(args)
    except ChildFailedError as error:
        sys.exit(_report(error.failures.values()))
    except subprocess.CalledProcessError as error:  # a single process, which has printed its own last words
        sys.exit(_exit_code(error.returncode))
    except SignalException as error:
        sys.exit(128 + error.sigval)


def _report(failures: Collection["ProcessFailure"]) -> int:
    """Print the last words of the first process that failed, those of `leia.base.cli.fail` before others; its code."""

    def order(failure: "ProcessFailure") -> tuple[bool, float]:
        return not failure.message.startswith("error: "), failure.error_file_data["timestamp"]

    spoke = sorted((failure for failure in failures if os.path.isfile(failure.error_file)), key=order)
    if spoke:
        click.echo(spoke[0].message, err=True, nl=False)
        if spoke[0].message.startswith("error: "):
            return spoke[0].error_file_data["exit_code"]
    codes = [failure.exitcode for failure in failures]
    killed = [code for code in codes if code < 0 and code != -signal.SIGTERM]
    return _exit_code(killed[0] if killed else max(codes))


def _exit_code(code: int) -> int:
    """That of a shell; a process that was killed said nothing, so it is said here."""
    if code < 0 and code != -signal.SIGTERM:
        killed = f"error: a process was killed ({signal.Signals(-code).name})"
        click.echo(f"{killed}; if that was for lack of memory, take smaller batches", err=True)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    main()


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
