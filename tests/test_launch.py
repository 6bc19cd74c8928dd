"""python -m leia.launch: what it prints and exits with when of several processes one or all fail."""

import sys

from steps import run

# Both find the same mistake. The first one to say so has not ended when the launcher, as the other has, stops it.
STOPPED_WHILE_ENDING = """
import os, time
from pathlib import Path

from leia.console import fail

if os.environ["RANK"] == "0":
    try:
        fail("it is I", exit_code=2)
    finally:
        Path("said").touch()
        time.sleep(60)
while not Path("said").exists():
    time.sleep(0.01)
fail("it is I, too", exit_code=2)
"""


def test_the_first_process_to_fail_gives_the_exit_code_though_it_is_stopped_while_ending(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(STOPPED_WHILE_ENDING)
    launch = [sys.executable, "-m", "leia.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"]
    launch += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    ended = run([*launch, str(script)], cwd=tmp_path)
    assert (ended.stderr, ended.returncode) == ("error: it is I\n", 2)
