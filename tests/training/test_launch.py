"""python -m leia.training.launch: what it prints and exits with when of several processes one or all fail."""

import os
import re
import signal
import sys
import time

from evaluation_sample import ROOT
from steps import free_port, run, start

LAUNCH = [sys.executable, "-m", "leia.training.launch", "--multi_gpu", "--num_processes", "2"]
LAUNCH += ["--mixed_precision", "no", "--dynamo_backend", "no"]

# Both find the same mistake. The first one to say so has not ended when the launcher, as the other has, stops it.
STOPPED_WHILE_ENDING = """
'''A step.

    python script.py
'''
import os, time
from pathlib import Path

from leia.base.errors import UsageError
from leia.training.launch import launched_command

@launched_command
def main() -> int:
    while os.environ["RANK"] == "1" and not Path("said").exists():
        time.sleep(0.01)
    raise UsageError("it is I; rank " + os.environ["RANK"])

try:
    main()
finally:
    Path("said").touch()
    time.sleep(60 if os.environ["RANK"] == "0" else 0)
"""


def test_the_first_process_to_fail_gives_the_exit_code_though_it_is_stopped_while_ending(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(STOPPED_WHILE_ENDING)
    ended = run([*LAUNCH, "--num_machines", "1", str(script)], cwd=tmp_path)
    assert (ended.stderr, ended.returncode) == ("error: it is I; rank 0\n", 2)


# The second process waits until it is stopped: by the launcher, since the first one fails, or by whoever stops both.
WAITS = """
'''A step.

    python script.py
'''
import os, time
from functools import partial
from pathlib import Path

from leia.training.launch import launched_command

@partial(launched_command, when_stopped=lambda: "stopped")
def main() -> int:
    Path(f"begun {os.environ['RANK']}").touch()
    while os.environ["RANK"] == "1" or Path("wait").exists() or not Path("begun 1").exists():
        time.sleep(0.01)
    raise RuntimeError("the first one fails")

main()
"""


def test_a_process_that_the_launcher_stops_hides_no_traceback_of_the_one_that_failed(tmp_path):
    (tmp_path / "script.py").write_text(WAITS)
    ended = run([*LAUNCH, "--num_machines", "1", "script.py"], cwd=tmp_path)
    assert ended.stderr.startswith("Traceback") and ended.stderr.endswith("RuntimeError: the first one fails\n")
    assert "stopped" not in ended.stderr and ended.returncode == 1


def test_of_several_processes_that_are_stopped_one_says_so(tmp_path):
    (tmp_path / "script.py").write_text(WAITS)
    (tmp_path / "wait").touch()
    launcher = start([*LAUNCH, "--num_machines", "1", "script.py"], cwd=tmp_path)
    while not all((tmp_path / f"begun {rank}").exists() for rank in "01"):
        assert launcher.poll() is None
        time.sleep(0.01)
    launcher.terminate()
    assert (launcher.communicate()[1], launcher.returncode) == ("stopped\n", 143)


def test_a_wrong_word_before_the_script_is_one_line():
    launch = [sys.executable, "-m", "leia.training.launch"]
    for words, message in (
        (["--no_such", "train.py"], "unrecognized arguments|required: training_script"),
        (["--num_processes", "x", "train.py"], "argument --num_processes.*: invalid int value: 'x'"),
        ([], "required: training_script"),
    ):
        ended = run([*launch, *words])
        assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1), ended.stderr
        assert re.match(f"error: .*({message}).*; accelerate launch --help", ended.stderr)


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
