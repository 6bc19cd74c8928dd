"""Every step on a full disk, beside a second run of itself, and in folders whose names break careless scripts."""

import os
import re
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from steps import Contents, Material, assert_whole, commands, contents, run, start

FOLDER = "-it's\"ü日本$(touch${IFS}oops)`touch${IFS}oops`;\n"
OF_THE_PLACE = ("README.md", "training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth", "files.json")
"""What a training writes about its command, with the paths of this run, and what torch writes otherwise where the path
is not ASCII."""


@pytest.fixture(scope="module")
def undisturbed(material: Material, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Contents]:
    """What a step writes when nothing disturbs it."""
    known: dict[str, Contents] = {}

    def of(step: str) -> Contents:
        if step not in known:
            out = tmp_path_factory.mktemp("undisturbed")
            finished = run(commands(material, out)[step])
            assert finished.returncode == 0, finished.stderr
            known[step] = anywhere(contents(out))
        return known[step]

    return of


def anywhere(found: Contents) -> Contents:
    return {path: content for path, content in found.items() if Path(path).name not in OF_THE_PLACE}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", folder], capture_output=True)
    yield folder
    if mounted.returncode == 0:
        subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_file_size_limit_is_named_and_without_it_the_rerun_succeeds(material, undisturbed, tmp_path, step):
    whole = undisturbed(step)
    limit = max(map(len, whole.values())) // 2
    command = commands(material, tmp_path)[step]

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    assert_refused(run(command, preexec_fn=small_files), "File too large", tmp_path, whole)
    assert_succeeds(command, tmp_path, whole)


def test_a_full_disk_is_named_and_with_space_the_rerun_succeeds(material, undisturbed, disk, step):
    if not os.path.ismount(disk):
        pytest.skip("a disk cannot be mounted here (it needs root)")
    whole = undisturbed(step)
    out, filler = disk / "it's out", disk / "filler"
    out.mkdir()
    command = commands(material, out)[step]
    for free in (0, sum(map(len, whole.values())) // 2):
        with filler.open("wb") as file:
            file.write(bytes(shutil.disk_usage(disk).free - free))
        assert_refused(run(command), "No space left on device", out, whole)
        filler.unlink()
    assert_succeeds(command, out, whole)


def assert_refused(finished: subprocess.CompletedProcess[str], reason: str, out: Path, whole: Contents) -> None:
    """One line that gives the reason and the folder; nothing half and nothing hidden stays."""
    errors = [line for line in finished.stderr.splitlines() if line.startswith("error: ")]
    assert finished.returncode == 1, finished.stderr
    assert reason in errors[0] and str(out) in errors[0] and "Traceback" not in finished.stderr, finished.stderr
    assert len(errors) == 1 + ("--models_dir" in finished.args), errors  # run_table.py says which run it was
    found = anywhere(contents(out))
    assert_whole(found, whole)
    assert not [path for path in found if path not in whole]


def assert_succeeds(command: list[str], out: Path, whole: Contents) -> None:
    finished = run(command)
    assert finished.returncode == 0, finished.stderr
    assert anywhere(contents(out)) == whole


def test_of_two_at_once_the_second_names_the_first_or_both_are_right(
    record_property, material, undisturbed, tmp_path, step
):
    whole = undisturbed(step)
    command = commands(material, tmp_path)[step]
    first = start(command)
    while first.poll() is None and not [lock for lock in tmp_path.rglob(".*.lock") if lock.stat().st_size]:
        time.sleep(0.001)
    running = first.poll() is None
    if running:
        os.killpg(first.pid, signal.SIGSTOP)
    try:
        second = run(command)
        if second.returncode:
            errors = [line for line in second.stderr.splitlines() if line.startswith("error: ")]
            holder = re.search(r"process (\d+) on ", errors[0])
            assert second.returncode == 1 and holder is not None and "Traceback" not in second.stderr, second.stderr
            assert os.getpgid(int(holder[1])) == first.pid
    finally:
        if running:
            os.killpg(first.pid, signal.SIGCONT)
    errors = first.communicate()[1]
    assert first.returncode == 0, errors
    assert anywhere(contents(tmp_path)) == whole
    record_property("shown", f"{step}: of two at once {'one was refused' if second.returncode else 'both were right'}")


def test_folders_may_have_any_name(material, undisturbed, tmp_path, step):
    """Relative names that begin like an option (argparse knows one by its having no space), with quotes, a line break,
    other letters and commands of the shell. The other tests have spaces in their folders' names."""
    whole = undisturbed(step)
    here = tmp_path / FOLDER
    out, inputs = Path(f"{FOLDER}out"), Path(f"{FOLDER}in")
    (here / out).mkdir(parents=True)
    (here / inputs).symlink_to(material.root)
    finished = run(commands(Material(inputs), out)[step], cwd=here)
    assert finished.returncode == 0, finished.stderr
    assert anywhere(contents(here / out)) == whole
    assert not list(tmp_path.rglob("oops")) and sorted(here.iterdir()) == sorted([here / out, here / inputs])
