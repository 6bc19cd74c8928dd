"""python -m leia.training.launch: what it prints and exits with when of several processes one or all fail."""

import os
import signal
import sys
import time

from evaluation_sample import ROOT
from steps import free_port, run, start

LAUNCH = [sys.executable, "-m", "leia.training.launch", "--multi_gpu", "--num_processes", "2"]
LAUNCH += ["--mixed_precision", "no", "--dynamo_backend", "no"]

# Both find the same mistake. The first one to say so has not ended when the launcher, as the other has, stops it.
STOPPED_WHILE_ENDING = """
import os, time
from pathlib import Path

from leia.base.cli import fail

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
    ended = run([*LAUNCH, "--num_machines", "1", "--main_process_port", "0", str(script)], cwd=tmp_path)
    assert (ended.stderr, ended.returncode) == ("error: it is I\n", 2)


ENDS_ON_THE_SECOND_NODE = """
import os, time
from pathlib import Path

launcher = os.getppid()
while os.environ["RANK"] == "0" and os.getppid() == launcher:
    time.sleep(0.01)
Path("ended").touch()
"""


def test_a_node_that_has_done_its_work_does_not_complain_that_the_first_one_is_gone(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(ENDS_ON_THE_SECOND_NODE)
    nodes = [*LAUNCH, "--num_machines", "2", "--main_process_ip", "127.0.0.1", "--main_process_port", str(free_port())]
    first, second = (start([*nodes, "--machine_rank", rank, str(script)], cwd=tmp_path) for rank in "01")
    while not (tmp_path / "ended").exists():
        assert first.poll() is None and second.poll() is None
        time.sleep(0.01)
    time.sleep(1)  # the second launcher now waits for the first one
    os.killpg(first.pid, signal.SIGKILL)
    assert (second.communicate()[1], second.returncode) == ("", 0)
    first.communicate()


def test_a_single_process_sees_one_gpu_unless_told_otherwise(tmp_path, monkeypatch):
    script = tmp_path / "script.py"
    script.write_text("import os\nopen('seen', 'w').write(os.environ['CUDA_VISIBLE_DEVICES'])\n")
    launch = [sys.executable, "-m", "leia.training.launch", "--config_file", str(ROOT / "configs/accelerate/cpu.yaml")]
    for given, seen in ((None, "0"), ("3", "3")):
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if given:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
        assert run([*launch, str(script)], cwd=tmp_path).returncode == 0
        assert (tmp_path / "seen").read_text() == seen
