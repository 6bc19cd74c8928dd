"""Work on a stream of items in several processes, results in the order of the items.

Processes are forked, so that what `function` holds (a table of a million titles, a tokenizer) is shared and not copied.
No more than two items for each process are read ahead, so that memory stays bounded; nothing depends on the number of
processes.
"""

import ctypes
import gc
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from queue import SimpleQueue
from typing import Any, TypeVar

from leia.base.errors import InputError

Item = TypeVar("Item")
Result = TypeVar("Result")

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def available_cores() -> int:
    """The number of cores that this process may use (a cluster may give it fewer than the machine has)."""
    return len(os.sched_getaffinity(0))


def map_in_order(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Iterator[tuple[Item, Result]]:
    """Yield `(item, function(item))` for each item, in order, worked on by `workers` forked processes.

    The processes are there before the first item is taken. An `InputError` or `OSError` of a worker is raised here.
    """
    if hasattr(items, "__len__"):
        workers = min(workers, len(items))
    if workers <= 1:
        yield from ((item, function(item)) for item in items)
        return
    started: list[_Worker] = []
    threads = ThreadPoolExecutor(workers)  # each waits for what one of the processes makes
    idle: SimpleQueue[_Worker] = SimpleQueue()

    def work(item: Item) -> Result:
        worker = idle.get()
        try:
            return worker.do(item)
        finally:
            idle.put(worker)

    pending: deque[tuple[Item, Future[Result]]] = deque()
    try:
        gc.freeze()  # the collector of a worker would go through all that is shared, and so copy it
        for _ in range(workers):
            started.append(_Worker(function))
            idle.put(started[-1])
        for item in items:
            pending.append((item, threads.submit(work, item)))
            if len(pending) == 2 * workers:
                done, future = pending.popleft()
                yield done, future.result()
        while pending:
            done, future = pending.popleft()
            yield done, future.result()
    finally:
        for worker in started:  # before the threads, which wait for them
            worker.process.kill()
            worker.process.join()
        threads.shutdown(cancel_futures=True)
        for worker in started:
            worker.close()
        gc.unfreeze()


class _Worker:
    """A forked process and a pipe to it."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        context = multiprocessing.get_context("fork")
        self._pipe, other_end = context.Pipe()
        self.process: BaseProcess = context.Process(
            target=_work, args=(function, other_end, self._pipe, os.getpid()), daemon=True
        )
        self.process.start()
        other_end.close()

    def do(self, item: Any) -> Any:
        """What the process makes of `item`; its error is raised here."""
        try:
            self._pipe.send(item)
            error, result = self._pipe.recv()
        except (EOFError, OSError):  # an OSError of `function` comes as `error`
            self.process.join()
            place = f" while it worked on {item}" if isinstance(item, str | os.PathLike | range) else ""
            if (self.process.exitcode or 0) > 0:  # an error of ours: the worker has printed its traceback
                raise RuntimeError(f"a worker process failed{place}") from None
            advice = "if that was for lack of memory, take a smaller --num_workers"
            raise InputError(f"a worker process was killed{place}; {advice}") from None
        if error is not None:
            raise error
        return result

    def close(self) -> None:
        """Give back its file descriptors, which an error's traceback would hold; the process has ended."""
        self._pipe.close()
        self.process.close()


def _work(function: Callable[[Any], Any], pipe: Connection, others_end: Connection, parent: int) -> None:
    os.nice(5)  # what feeds the workers goes first: the threads of a decompression that wait for each other burn time
    others_end.close()  # so that this process ends when its parent's end is closed
    # The system kills it when `parent` ends in whatever way: it would wait forever, and hold the parent's locks.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the call
        os.kill(os.getpid(), signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    while True:
        try:
            item = pipe.recv()
        except EOFError:
            return
        try:
            answer = None, function(item)
        except (InputError, OSError) as error:
            answer = error, None
        pipe.send(answer)
