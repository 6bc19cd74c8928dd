"""Every step killed with SIGKILL, it and all its processes, at random moments while it writes: a final name holds
nothing or all, and the rerun gives the bytes of an undisturbed run with nothing left behind.
"""

import os
import random
import shutil
import signal
import time
from pathlib import Path

from steps import assert_whole, commands, contents, run, start

CONTINUED = ("train", "evaluate", "run_table", "build_corpus")
"""These go on where they were stopped and leave alone what is finished: they are to start from nothing each time."""


def test_a_killed_step_leaves_nothing_or_all_and_is_run_again(request, record_property, material, tmp_path, step):
    out = tmp_path / 'it\'s the "output" ü日本'
    command = commands(material, out)[step]
    out.mkdir()
    seconds = seconds_of_writing(command, out)
    whole = contents(out)
    thorough = request.config.getoption("--thorough")
    wanted = 1 if not thorough else 5 if step == "run_table" else 20  # run_table: a training and its evaluation again
    killed, drawn = 0, random.Random(6)
    while killed < wanted:
        if step in CONTINUED or drawn.random() < 0.5:  # else there is an earlier output to replace
            shutil.rmtree(out)
            out.mkdir()
        killed += kill(command, out, drawn.uniform(0, seconds))
        assert_whole(contents(out), whole)
        finished = run(command)
        assert finished.returncode == 0, finished.stderr
        assert contents(out) == whole
    record_property("shown", f"{step}: {killed} of {killed} kills survived")


def seconds_of_writing(command: list[str], out: Path) -> float:
    """Run it to its end; the time from its first file on."""
    process = start(command)
    began = wait_for_first_file(process, out)
    errors = process.communicate()[1]
    assert process.returncode == 0, errors
    return time.monotonic() - began


def kill(command: list[str], out: Path, seconds: float) -> bool:
    """Start it and kill it so long after it wrote its first file; False when it had ended before."""
    process = start(command)
    wait_for_first_file(process, out)
    time.sleep(seconds)
    running = process.poll() is None
    if running:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    return running


def wait_for_first_file(process, out: Path) -> float:
    """The moment at which a step first changes its folder."""
    before = set(out.iterdir())
    while process.poll() is None and set(out.iterdir()) == before:
        time.sleep(0.001)
    return time.monotonic()
