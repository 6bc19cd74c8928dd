"""The one owner of processes: how they start, how they are stopped, and how they end.

    python -m leia.training.launch --config_file configs/accelerate/zero3_8gpu.yaml scripts/train.py ...

`main` is `accelerate launch`, with its options: it starts a `launched_command` in one process or several.

- Start: it checks that the machine has what the file asks for, and shares out the cores.
- Stop: SIGTERM and Ctrl-C are for the started processes alone, and wait until these listen. torch's launcher would kill
  them after 30 seconds; a step of a large model takes longer. So the launcher blocks both signals, as do the processes
  that it starts, and a thread of it passes them on.
- End: left to themselves all processes print the same error, and torch's launcher adds a report of its own. Here each
  process leaves its message in the file that torch names for it, and only one of them is printed.
"""

import atexit
import functools
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from argparse import Namespace
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click
import psutil

from leia.base.cli import Command, command, fail
from leia.base.errors import InputError
from leia.base.outputs import write_file
from leia.base.pool import available_cores
from leia.base.text import one_line, read_yaml, to_json

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

STOPPED = 128 + signal.SIGTERM
"""Exit code of a run that was stopped, and can be continued or begun again."""

OUT_OF_MEMORY = 3
"""Exit code of a run that needs more memory than there is."""

_SIGNALS = {signal.SIGTERM, signal.SIGINT}
_MESSAGE_FILE = "TORCHELASTIC_ERROR_FILE"  # set by torch's launcher, which reads the file into a `ProcessFailure`


def main() -> NoReturn:
    """Launch what the command line says and exit with the code of the process that `_report` chooses, or with 0."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    asked = threading.Event()
    threading.Thread(target=_pass_signals_on, args=[asked], daemon=True).start()
    # Among others torch warns, with its stack, where the first node has ended a moment before another one.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # read when torch is imported
    from accelerate.commands.launch import launch_command, launch_command_parser
    from torch.distributed.elastic.agent.server import api  # noqa: F401  # else its import would undo the level below
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    parser = launch_command_parser()
    advice = (
        "accelerate launch --help shows what stands before the script (LAUNCH_ARGS), train.py --help what behind it"
    )
    parser.error = lambda message: fail(f"{message}; {advice}", 2)  # else its usage of a hundred lines
    args = parser.parse_args()
    without_gpu()  # the launcher imports DeepSpeed, too
    for name in ("multiprocessing.api", "agent.server.api"):
        logging.getLogger(f"torch.distributed.elastic.{name}").setLevel(logging.CRITICAL)
    code = 0
    try:
        _prepare(args)
        launch_command(args)
    except InputError as error:
        fail(str(error))
    except ChildFailedError as error:
        code = _report(error.failures.values(), asked.is_set())
    except subprocess.CalledProcessError as error:  # a single process, which has printed its message
        code = _exit_code([error.returncode])
    except SignalException as error:  # SIGHUP or SIGQUIT
        code = 128 + error.sigval
    sys.exit(STOPPED if code and asked.is_set() else code)


def _pass_signals_on(asked: threading.Event) -> None:
    """Wait for a signal, then send SIGTERM to all children, again and again: some may start only now."""
    signal.sigwait(_SIGNALS)
    asked.set()
    while True:
        for process in psutil.Process().children():
            with suppress(psutil.NoSuchProcess):
                process.terminate()
        time.sleep(0.5)


def _prepare(args: Namespace) -> None:
    """Complete accelerate's options and set the variables that the processes read when they start."""
    machine = read_machine(args.config_file) if args.config_file else {}
    given = {name: getattr(args, name) for name in ("num_processes", "num_machines", "main_process_port")}
    machine |= {name: value for name, value in given.items() if value is not None}
    if (machine.get("num_machines") or 1) == 1:
        args.main_process_port = machine.get("main_process_port", 0)  # 0: any free one, two runs may share a machine
    if args.config_file:
        processes = processes_here(args.config_file, machine)
        if processes == 1:
            os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")  # the Trainer would take all GPUs that it sees
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, available_cores() // max(1, processes))))


def _report(failures: Collection["ProcessFailure"], asked: bool) -> int:
    """Print the first message of a process and choose the exit code of all.

    A clear line goes before a traceback. Where a stop was asked for, what the stopped ones say goes first, since their
    end makes others fail; where not, torch's launcher stopped them because another one had failed.
    """

    def order(told: dict[str, Any]) -> tuple[bool, bool, float]:
        return told["exit_code"] != STOPPED, told["message"].startswith("Traceback"), told["timestamp"]

    spoke = [failure.error_file_data for failure in failures if os.path.isfile(failure.error_file)]
    first = min((told for told in spoke if asked or told["exit_code"] != STOPPED), key=order, default=None)
    if first is not None:
        click.echo(first["message"], err=True, nl=False)
        if not first["message"].startswith("Traceback"):
            return first["exit_code"]
    return _exit_code([failure.exitcode for failure in failures])


def _exit_code(codes: Sequence[int]) -> int:
    """That of a shell for the process that failed by itself; one that was killed said nothing, so it is said here."""
    killed = next((code for code in codes if code < 0 and code != -signal.SIGTERM), 0)
    if killed:
        advice = "if that was for lack of memory, take smaller batches"
        click.echo(f"error: a process was killed ({signal.Signals(-killed).name}); {advice}", err=True)
        return 128 - killed
    code = max((code for code in codes if code != STOPPED), default=STOPPED)
    return code if code >= 0 else 128 - code


def processes_here(config_file: str, machine: dict[str, Any]) -> int:
    """How many processes are started on this machine, by the settings of this file and of the command line.
    Raises `InputError` when fewer would start than are asked for, or on more GPUs than there are."""
    processes = machine.get("num_processes") or 1
    asked = processes // max(1, machine.get("num_machines") or 1)
    kind = machine.get("distributed_type") or "NO"
    if processes > 1 and kind in ("NO", "MULTI_CPU"):
        raise InputError(
            f"{config_file}: asks for {processes} processes, of which distributed_type {kind} starts one; "
            "MULTI_GPU is accelerate's word for several (with use_cpu: true on a CPU)"
        )
    if machine.get("use_cpu"):
        return asked
    import torch

    found = torch.accelerator.device_count()
    if asked > found:
        other = {
            0: "ACCELERATE_CONFIG=configs/accelerate/cpu.yaml is for a CPU",
            1: "ACCELERATE_CONFIG=configs/accelerate/single_gpu.yaml is for one",
        }.get(found, f"LAUNCH_ARGS='--num_processes {found}' takes these")
        gpus = "1 GPU" if asked == 1 else f"{asked} GPUs"
        raise InputError(f"{config_file}: asks for {gpus} on this machine, it has {found}; {other}")
    return asked


def read_machine(config_file: str) -> dict[str, Any]:
    """The settings in a file of accelerate. Raises `InputError` for another file."""
    advice = "configs/accelerate/ holds files that accelerate understands"
    machine = read_yaml(Path(config_file), advice)
    if not {"compute_environment", "distributed_type"} & machine.keys():
        raise InputError(f"{config_file}: expected settings of accelerate, found {', '.join(machine)}; {advice}")
    return machine


class _LaunchedCommand(Command):
    def main(self, *args: Any, **settings: Any) -> NoReturn:
        try:
            super().main(*args, **settings)
        except Exception:
            if _MESSAGE_FILE not in os.environ:
                raise
            _leave(traceback.format_exc(), 1)  # of several processes those cut off from a failed one fail too

    def fail(self, message: str, exit_code: int) -> NoReturn:
        _leave(f"error: {one_line(message)}\n", exit_code)


def launched_command(function: Callable[..., int], when_stopped: Callable[..., str] | None = None) -> click.Command:
    """`leia.base.cli.command` for a function that `main` starts in one process or several; it returns the exit code.
    Where SIGTERM ends the function, the process says `when_stopped(...)`, which is called like the function."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> NoReturn:
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # one that came earlier is heard here
            code = function(*args, **kwargs)
        except SystemExit:
            if when_stopped is None:
                raise
            _leave(when_stopped(*args, **kwargs) + "\n", STOPPED)
        _end_process(code)

    return command(run, cls=_LaunchedCommand)


def _leave(message: str, exit_code: int) -> NoReturn:
    """Exit with the last message of this process, printed or left to the launcher that started it beside others; that
    is told the exit code, too, since another process may fail and have it stop this one before it has ended."""
    if path := os.environ.get(_MESSAGE_FILE):
        write_file(path, to_json({"message": message, "timestamp": time.time(), "exit_code": exit_code}))
    else:
        click.echo(message, err=True, nl=False)
    sys.exit(exit_code)


def _end_process(code: int) -> NoReturn:
    from torch import distributed

    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it comes too late
    if distributed.is_initialized():
        has_gloo = "gloo" in distributed.get_backend()  # FSDP's is "cuda:nccl,cpu:gloo"
        distributed.destroy_process_group()
        # Threads of gloo, torch's way to talk between CPU processes, outlive the process group and abort one
        # interpreter in some twenty while it is taken down. So what is registered for the end is run, and no more.
        if has_gloo:
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    sys.exit(code)


def without_gpu() -> None:
    """Tell DeepSpeed, which transformers imports, that there is no GPU where there is none; else it warns."""
    import torch

    if not torch.accelerator.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")


if __name__ == "__main__":
    main()
