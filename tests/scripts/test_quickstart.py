"""scripts/quickstart.sh: a second one at the same time leaves the first one's folder alone."""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_second_of_two_at_once_stops(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    for name in ("requirements.txt", "setup.py"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / ".venv").mkdir()
    installed = "cat requirements.txt setup.py | sha256sum >.venv/installed"
    subprocess.run(["bash", "-c", installed], cwd=tmp_path, check=True)
    results = tmp_path / "work/quickstart/results of the first"
    results.mkdir(parents=True)
    with (tmp_path / "work/.quickstart.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("process 7 on host,")
        lock.flush()
        command = ["bash", tmp_path / "scripts/quickstart.sh"]
        environment = os.environ | {"PYTHON": sys.executable}
        second = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8")
    assert second.returncode == 1
    assert second.stderr == "error: work/quickstart: process 7 on host, writes here; wait for it or stop it\n"
    assert results.exists()
