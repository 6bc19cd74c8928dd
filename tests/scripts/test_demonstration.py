"""scripts/run_demonstration.sh: a second one at the same time stops; a base model that knows nothing stops everything;
in the long form a whole seed, whose arms must come out as docs/demonstration.md says."""

import fcntl
import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(work: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in ("SHORT", "GPU", "JOBS")}
    command = ["bash", ROOT / "scripts/run_demonstration.sh"]
    environment |= {"WORK": str(work), **variables}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, encoding="utf-8")


@pytest.fixture(autouse=True)
def environment_is_set_up() -> None:
    """`set_up.sh` would make .venv; the packages are those of this process."""
    if not (ROOT / ".venv/installed").exists():
        pytest.skip("scripts/set_up.sh has not made .venv; run_tests.sh does")


def test_the_second_of_two_at_once_stops(tmp_path: Path) -> None:
    with (tmp_path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("process 7 on host,")
        lock.flush()
        second = run(tmp_path)
    assert second.returncode == 1
    assert second.stderr == f"error: {tmp_path}: process 7 on host, writes here; wait for it or stop it\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock"]


@pytest.mark.thorough
def test_the_arms_of_a_seed_come_out_as_the_page_says(tmp_path: Path) -> None:
    """Minutes. The bounds leave room for other library versions; chance is 0.125."""
    rows = "none,right,shuffled,no_name_loss"
    done = run(tmp_path, SEEDS="1", ROWS=rows)
    assert done.returncode == 0, done.stdout + done.stderr
    arms = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    mean = {(arm, name): measure["mean"] for arm, measures in arms.items() for name, measure in measures.items()}
    assert mean["right", "held_out_written"] > 0.6 and mean["right", "held_out_names_right"] > 0.9
    assert mean["right", "held_out_given"] > 0.7
    for arm in ("none", "shuffled", "no_name_loss"):
        assert mean[arm, "held_out_written"] < 0.25 and mean[arm, "held_out_names_right"] < 0.1
    assert abs(mean["right", "held_out_bare"] - mean["none", "held_out_bare"]) < 0.08
    for arm in arms:
        for question in ("bare", "given", "written", "english"):
            assert mean[arm, f"unknown_{question}"] < 0.25
    again = run(tmp_path, SEEDS="1", ROWS=rows)
    assert again.returncode == 0 and "# missing trainings: 0, evaluations: 0" in (tmp_path / "seed1.log").read_text()


@pytest.mark.thorough
def test_a_base_model_that_could_show_nothing_stops_the_run(tmp_path: Path) -> None:
    config = tmp_path / "base.yaml"
    config.write_text(f"base: {ROOT}/configs/train/demonstration_base.yaml\nmax_steps: 5\n", encoding="utf-8")
    sizes = "--base_sentences 3000 --target_sentences 3000 --questions 48"
    done = run(tmp_path / "work", SEEDS="1", BASE_CONFIG=str(config), SIZES=sizes, SHAPE="--num_layers 1")
    assert done.returncode == 1
    assert "seed 1: failed; " in done.stdout
    assert "the base model could show nothing: of the facts that it read in English it knows" in done.stdout
    assert not (tmp_path / "work/models").exists() and not (tmp_path / "work/summary.json").exists()
