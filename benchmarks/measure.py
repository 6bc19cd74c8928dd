"""Run a command as users run it and measure it: seconds, and the peak memory of all its processes together."""

import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

_SCRIPTS = Path(__file__).parents[1] / "scripts"

_SECONDS_BETWEEN_LOOKS = 0.05


@dataclass(frozen=True, slots=True)
class Measurement:
    """Wall-clock `seconds` of a command, the `peak_bytes` of its process tree (shared memory counts once), and its
    `cpu_seconds`, which other work on the machine changes less."""

    seconds: float
    peak_bytes: int
    cpu_seconds: float = 0.0


def script(name: str, **options: object) -> list[object]:
    """The command that runs one of our scripts."""
    return [sys.executable, _SCRIPTS / name, *(part for key, value in options.items() for part in (f"--{key}", value))]


def measure(command: Sequence[object]) -> Measurement:
    """Run `command` to its end, its output thrown away. Raises `CalledProcessError` with its errors when it fails."""
    arguments = [str(part) for part in command]
    cpu_before, start = _cpu_of_ended_processes(), time.perf_counter()
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    peak = 0
    while process.poll() is None:
        peak = max(peak, _tree_bytes(process.pid))
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    seconds = time.perf_counter() - start
    errors = process.stderr.read() if process.stderr else b""
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, arguments, stderr=errors)
    return Measurement(seconds, peak, _cpu_of_ended_processes() - cpu_before)


def _cpu_of_ended_processes() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _tree_bytes(pid: int) -> int:
    """Proportional set size of a process and its children: a page that k of them share counts 1/k for each."""
    total = 0
    try:
        parent = psutil.Process(pid)
        for process in [parent, *parent.children(recursive=True)]:
            total += process.memory_full_info().pss
    except (psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
        pass  # it ended while it was looked at
    return total
