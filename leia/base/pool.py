"""Work on a list of items in several processes, results in the order of the items.

Processes are forked, so that what `function` holds (a table of a million titles, a tokenizer) is shared and not copied.
Worker w takes the items w, w + workers, w + 2 * workers ...; its pipe holds it back until its result is asked for, so
that memory stays bounded and nothing depends on the number of workers.
"""

import ctypes
import gc
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from leia.base.errors import InputError

Item = TypeVar("Item")
Result = TypeVar("Result")

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def available_cores() -> int:
    """The number of cores that this process may use (a cluster may give it fewer than the machine has)."""
    return len(os.sched_getaffinity(0))


def map_in_order(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int
) -> Iterator[tuple[Item, Result]]:
    """Yield `(item, function(item))` for each item, in order, worked on by `workers` forked processes.

    An `InputError` or `OSError` of a worker is raised here.
    """
    workers = min(workers, len(items))
    if workers <= 1:
        yield from ((item, function(item)) for item in items)
        return
    context = multiprocessing.get_context("fork")
    gc.freeze()  # the collector of a worker would go through all that is shared, and so copy it
    processes, connections = [], []
    try:
        for worker in range(workers):
            receiving, sending = context.Pipe(duplex=False)
            arguments = function, items[worker::workers], sending, os.getpid()
            process = context.Process(target=_work, args=arguments, daemon=True)
            process.start()
            sending.close()
            processes.append(process)
            connections.append(receiving)
        for number, item in enumerate(items):
            worker = number % workers
            yield item, _receive(connections[worker], processes[worker], item)
    finally:
        gc.unfreeze()
        for process in processes:
            process.kill()
            process.join()


def _receive(connection: Connection, process: BaseProcess, item: Any) -> Any:
    """What a worker made of `item`; its error is raised here."""
    try:
        error, result = connection.recv()
    except EOFError:
        process.join()
        if process.exitcode > 0:  # an error of ours: the worker has printed its traceback
            raise RuntimeError(f"a worker process failed while it worked on {item}") from None
        raise InputError(
            f"a worker process was killed while it worked on {item}; "
            "if that was for lack of memory, take a smaller --num_workers"
        ) from None
    if error is not None:
        raise error
    return result


def _work(function: Callable[[Item], Result], items: Sequence[Item], connection: Connection, parent: int) -> None:
    # The system kills it when `parent` ends in whatever way: it would wait forever, and hold the parent's locks.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the call
        os.kill(os.getpid(), signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for item in items:
        try:
            connection.send((None, function(item)))
        except (InputError, OSError) as error:
            connection.send((error, None))
            return
