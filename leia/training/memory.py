"""Memory that runs out: one line that says what did not fit and what to do, whatever error torch has for it."""

import errno
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from leia.base.errors import InputError
from leia.training.launch import OUT_OF_MEMORY

_WORDS = re.compile(r"out of memory|can't allocate memory|cannot allocate memory|bad_alloc|alloc_failed", re.IGNORECASE)
"""In the errors of CUDA and its libraries, of torch's CPU allocator, of the system (ENOMEM) and of C++."""

_SMALLER = (
    "take a smaller per_device_train_batch_size (FIND_MICRO_BATCH=1 ./train.sh finds the fastest that fits) or "
    "activation_checkpointing full"
)
_FEWER_STATES = "take OFFLOAD_OPTIMIZER_DEVICE=cpu (DeepSpeed), more GPUs, lora_rank or a smaller model"
_PLACES = {"training_step": "a micro batch", "make_model": "the model", "step": "the states of the optimizer"}
"""What did not fit, by the innermost of these functions in which memory ran out."""


class OutOfMemory(InputError):
    """A run needs more memory than there is."""

    exit_code = OUT_OF_MEMORY


@contextmanager
def memory_named(micro_batch: int) -> Iterator[None]:
    """Raise `OutOfMemory` for whatever error says that memory ran out; `micro_batch`: sequences, of one process."""
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemory(describe(error, micro_batch)) from error


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether the error, or one that led to it, says so."""
    if error is None:
        return False
    if isinstance(error, OSError) and error.errno:  # its words may hold the name of a file
        says_so = error.errno == errno.ENOMEM
    else:
        says_so = isinstance(error, torch.OutOfMemoryError | MemoryError) or (
            not isinstance(error, InputError) and _WORDS.search(str(error)) is not None
        )
    return says_so or is_out_of_memory(error.__cause__)


def describe(error: Exception, micro_batch: int) -> str:
    """What did not fit, and what to do."""
    called = [frame.name for frame in reversed(traceback.extract_tb(error.__traceback__))]
    what = next((_PLACES[name] for name in called if name in _PLACES), "the run")
    asked = re.search(r"tried to allocate ([\d.]+ \w+)", str(error), re.IGNORECASE)
    more = f", which asked for {_readable(asked[1])} more" if asked else ""
    if what in ("the model", "the states of the optimizer"):
        advice = _FEWER_STATES
    elif micro_batch > 1:
        advice = _SMALLER
    else:
        advice = f"take activation_checkpointing full; where it is that already, {_FEWER_STATES}"
    return f"the memory does not hold {what}{more} (per_device_train_batch_size is {micro_batch}); {advice}"


def _readable(size: str) -> str:
    """torch's CPU allocator tells bytes, the one of a GPU `2.00 GiB`."""
    number, unit = size.split()
    return f"{int(number) / 2**30:.2f} GiB" if unit == "bytes" else size
