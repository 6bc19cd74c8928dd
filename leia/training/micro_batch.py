"""The micro batch that trains fastest, found by tries of scripts/train.py in processes of their own.

Sizes are doubled as long as they divide the share of a process in the global batch and memory holds. A larger micro
batch is worth its memory where it is faster by `WORTH`; after `PATIENCE` in a row that are not, the search ends.
"""

import json
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence

from leia.training.launch import OUT_OF_MEMORY

STEPS = 3
"""Of a try: the first one warms up, the faster one of the others counts."""

WORTH = 1.02
PATIENCE = 2
NO_MEMORY = (OUT_OF_MEMORY, 128 + signal.SIGKILL)
"""Exit codes of a try that did not fit; the second is of one that the system killed."""


class TryFailed(Exception):
    """A try ended otherwise, or the smallest one did not fit: `message` is what it said, `exit_code` its own."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.message, self.exit_code = message, exit_code


def find_micro_batch(words: Sequence[str], say: Callable[[str], None]) -> int:
    """The micro batch for the run that `words`, for `leia.training.launch`, describe; `say` gets pieces of a table."""
    say("micro batch      tokens/s      memory\n")
    micro_batch, best, best_speed, in_vain, share = 1, 0, 0.0, 0, 1
    while share % micro_batch == 0 and in_vain < PATIENCE:
        say(f"{micro_batch:>11,}")
        found = try_micro_batch(words, micro_batch, may_fail=best > 0)
        if found is None:
            say("  does not fit\n")
            break
        share = micro_batch * found["accumulation"]
        speed = found["tokens_per_second"]
        say(f"  {speed:>12,.0f}  {found['peak_memory_gib']:>6.2f} GiB\n")
        in_vain += 1
        if speed >= WORTH * best_speed:
            best, best_speed, in_vain = micro_batch, speed, 0
        micro_batch *= 2
    return best


def try_micro_batch(words: Sequence[str], micro_batch: int, may_fail: bool) -> dict[str, float] | None:
    """What the try has found; None where it may fail for lack of memory and did. Raises `TryFailed`."""
    command = [sys.executable, "-m", "leia.training.launch", *words, "--try_steps", str(STEPS)]
    command += ["--per_device_train_batch_size", str(micro_batch)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8") as process:
        try:
            output, errors = process.communicate()
        finally:
            process.terminate()  # where this process is stopped; elsewhere it has ended
            process.wait()
    if process.returncode in NO_MEMORY and may_fail:
        return None
    if process.returncode:
        raise TryFailed(errors, process.returncode)
    try:
        return json.loads(output.splitlines()[-1])
    except (IndexError, ValueError) as error:  # --help, or another script
        raise TryFailed(f"error: expected a training by scripts/train.py, found: {shlex.join(words)}\n", 2) from error
