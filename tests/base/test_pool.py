"""Work in several processes: results in order, little read ahead, and no process left behind however it ends."""

import gc
import os
import signal
import struct
import subprocess
import sys
import time
from itertools import count, islice
from multiprocessing.connection import Connection
from pathlib import Path

import psutil
import pytest

from leia.base import pool
from leia.base.errors import InputError, UsageError
from leia.base.pool import map_in_order

pytestmark = pytest.mark.timeout(60)  # a hang is what these tests are about


@pytest.fixture(autouse=True)
def nothing_is_left_behind():
    before, frozen = set(psutil.Process().children()), gc.get_freeze_count()
    files = psutil.Process().num_fds()
    yield
    assert set(psutil.Process().children()) == before
    assert gc.get_freeze_count() == frozen
    assert psutil.Process().num_fds() == files


def slower_when_even(item):
    time.sleep(0.02 if item % 2 == 0 else 0)
    return item, os.getpid()


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("size", [0, 1, 3, 30])
def test_results_come_in_the_order_of_an_iterator_of_unknown_length(size, workers):
    results = list(map_in_order(slower_when_even, iter(range(size)), workers))
    assert [(item, result) for item, (result, _) in results] == [(item, item) for item in range(size)]
    processes = {process for _, (_, process) in results}
    assert len(processes) <= workers
    assert os.getpid() not in processes or workers == 1


def test_there_are_no_more_processes_than_items_where_their_number_is_known():
    assert [process for _, (_, process) in map_in_order(slower_when_even, [1], 5)] == [os.getpid()]


@pytest.mark.parametrize("workers", [2, 3])
def test_no_more_than_two_items_for_each_process_are_taken_ahead(workers):
    taken = count()
    results = map_in_order(slower_when_even, (next(taken) for _ in range(20)), workers)
    for given, _ in enumerate(results):
        assert next(taken) - given <= 2 * workers
        taken = count(next(taken) - 1)


def fail_with(error):
    def fail(item):
        if item == 3:
            raise error
        return item

    return fail


@pytest.mark.parametrize(
    "error", [InputError("x.xml: is bad"), UsageError("x.xml: is wrong"), FileNotFoundError(2, "No such file", "x.xml")]
)
def test_an_error_about_the_data_comes_out_as_it_is_after_the_results_before_it(error):
    results = map_in_order(fail_with(error), iter(range(20)), 2)
    assert list(islice(results, 3)) == [(0, 0), (1, 1), (2, 2)]
    with pytest.raises(type(error)) as raised:
        next(results)
    assert str(raised.value) == str(error)


def test_an_error_of_ours_is_no_error_about_the_data(capfd):
    with pytest.raises(RuntimeError, match=r"^a worker process failed$"):
        list(map_in_order(fail_with(ValueError("a bug")), iter(range(20)), 2))
    assert "ValueError: a bug" in capfd.readouterr().err


def test_a_result_that_cannot_be_sent_is_an_error_of_ours(capfd):
    with pytest.raises(RuntimeError, match="a worker process failed"):
        list(map_in_order(lambda item: lambda: item, iter(range(20)), 2))
    assert "pickle" in capfd.readouterr().err


def test_an_error_of_the_iterator_comes_out():
    def items():
        yield from range(5)
        raise InputError("dump.xml: breaks off")

    with pytest.raises(InputError, match=r"^dump\.xml: breaks off$"):
        list(map_in_order(slower_when_even, items(), 2))


def kill(process=None):
    os.kill(process or os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(
    ("item", "place"),
    [
        (Path("wiki_03"), " while it worked on wiki_03"),
        (range(10, 20), r" while it worked on range\(10, 20\)"),
        ([b"<page>" * 1000], ""),  # no error of a megabyte
    ],
)
def test_a_worker_that_is_killed_is_an_error_that_says_where(item, place):
    with pytest.raises(InputError, match=f"^a worker process was killed{place}; if that was for lack of memory"):
        list(map_in_order(lambda item: kill(), iter([item] * 9), 2))


def test_a_worker_that_is_killed_while_it_sends_its_result_is_such_an_error():
    def send_half(self, data):
        os.write(self.fileno(), struct.pack("!i", len(data)) + bytes(data)[: len(data) // 2])
        kill()

    def work(item):
        Connection._send_bytes = send_half  # in the worker alone
        return "words " * 100

    with pytest.raises(InputError, match="a worker process was killed"):
        list(map_in_order(work, iter(range(9)), 2))


def test_a_worker_that_is_killed_between_two_items_is_such_an_error():
    results = map_in_order(slower_when_even, count(), 2)
    _, (_, process) = next(results)
    kill(process)
    with pytest.raises(InputError, match="a worker process was killed"):
        list(results)


@pytest.mark.parametrize("seconds", [0, 300])
def test_a_consumer_that_stops_early_does_not_wait(seconds):
    def work(item):
        time.sleep(seconds if item else 0)

    results = map_in_order(work, count(), 2)
    next(results)
    results.close()


def test_where_a_worker_cannot_start_those_before_it_end(monkeypatch):
    class Third(pool._Worker):
        started = 0

        def __init__(self, function):
            if Third.started == 2:
                raise BlockingIOError("Resource temporarily unavailable")
            Third.started += 1
            super().__init__(function)

    monkeypatch.setattr(pool, "_Worker", Third)
    with pytest.raises(BlockingIOError):
        list(map_in_order(slower_when_even, count(), 3))
    assert Third.started == 2


PARENT = """
import os, time
from leia.base.pool import map_in_order

def work(item):
    os.write(1, f"{os.getpid()}\\n".encode())
    time.sleep(300)

for _ in map_in_order(work, iter(range(99)), 2):
    pass
"""


@pytest.mark.parametrize("deadly", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_workers_end_with_their_parent(deadly):
    command = [sys.executable, "-c", PARENT]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as parent:
        workers = [psutil.Process(int(parent.stdout.readline())) for _ in range(2)]
        parent.send_signal(deadly)
        parent.wait(timeout=30)
        deadline = time.monotonic() + 30
        while any(map(_runs, workers)):
            assert time.monotonic() < deadline, "a worker outlives its parent"
            time.sleep(0.05)


def _runs(process):
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
