"""Outputs are complete or not there: killed, failing, or with a second writer."""

import random
import signal
import subprocess
import sys
import time

import pytest
from datasets import Dataset, load_from_disk

from leia.base.errors import InputError
from leia.base.outputs import MANIFEST_NAME, NewFolder, new_file, new_folder
from leia.base.step import identify, open_step, was_made_from


def visible_and_hidden(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_takes_its_name_when_it_is_whole(tmp_path):
    with new_file(tmp_path / "sub" / "a.tsv") as partial:
        partial.write_text("new")
        assert not (tmp_path / "sub" / "a.tsv").exists()
    assert (tmp_path / "sub" / "a.tsv").read_text() == "new"
    assert visible_and_hidden(tmp_path / "sub") == ["a.tsv"]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_failure_leaves_the_earlier_output_and_nothing_else(tmp_path, failure):
    (tmp_path / "a.tsv").write_text("old")
    with pytest.raises(failure), new_file(tmp_path / "a.tsv") as partial:
        partial.write_text("half")
        raise failure
    with new_folder(tmp_path / "d", replaceable=("x",)) as folder:
        (folder / "x").write_text("old")
    with pytest.raises(failure), new_folder(tmp_path / "d", replaceable=("x",)) as folder:
        (folder / "x").write_text("half")
        raise failure
    assert (tmp_path / "a.tsv").read_text() == (tmp_path / "d" / "x").read_text() == "old"
    assert visible_and_hidden(tmp_path) == ["a.tsv", "d"]


def test_a_folder_is_replaced_whole(tmp_path):
    for names in (("x1", "x2"), ("x3",)):
        with new_folder(tmp_path / "d", replaceable=("x*",)) as folder:
            for name in names:
                (folder / name).write_text(name)
    assert visible_and_hidden(tmp_path / "d") == ["x3"]
    assert visible_and_hidden(tmp_path) == ["d"]


@pytest.mark.parametrize("make", ["file", "folder with a thesis", "link"])
def test_what_another_made_is_refused_before_any_work(tmp_path, make):
    path = tmp_path / "d"
    if make == "file":
        path.write_text("thesis")
    elif make == "link":
        path.symlink_to(tmp_path)
    else:
        path.mkdir()
        (path / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="earlier output of this step"), new_folder(path, replaceable=("x*",)):
        pytest.fail("the work began")
    assert path.exists()


@pytest.mark.parametrize("name", [".", "/", "..", "sub/.."])
def test_a_folder_that_cannot_be_replaced_is_refused(tmp_path, monkeypatch, name):
    (tmp_path / "inner").mkdir()
    monkeypatch.chdir(tmp_path / "inner")
    with pytest.raises(InputError, match="cannot be replaced"), new_folder(name, replaceable=("*",)):
        pytest.fail("the work began")
    assert visible_and_hidden(tmp_path) == ["inner"]


@pytest.mark.parametrize("new", [new_file, lambda path: new_folder(path, replaceable=())])
def test_folders_made_for_an_output_go_with_it_when_it_fails(tmp_path, new):
    (tmp_path / "mine").mkdir()
    with pytest.raises(ValueError), new_file(tmp_path / "mine/a/b/other"), new(tmp_path / "mine/a/b/c"):
        raise ValueError
    assert visible_and_hidden(tmp_path / "mine") == []
    with new_file(tmp_path / "mine/a/b") as partial:
        partial.touch()
    with pytest.raises(ValueError), new(tmp_path / "mine/a/c/d"):
        raise ValueError
    assert visible_and_hidden(tmp_path / "mine/a") == ["b"]


WRITER = """
import pathlib, sys, time
from leia.base.outputs import new_file, new_folder
with new_file(sys.argv[1] + "/a.tsv") as a, new_folder(sys.argv[1] + "/d", replaceable=("x*",)) as d:
    for number in range(40):
        with a.open("a") as file:
            file.write(f"{number}\\n" * 100)
        (d / f"x{number}").write_text(str(number))
        if number == 20:
            print("half", flush=True)
            time.sleep(float(sys.argv[2]))
"""


def start_writer(folder, pause=0.0, **settings):
    return subprocess.Popen([sys.executable, "-c", WRITER, str(folder), str(pause)], stdout=subprocess.PIPE, **settings)


def test_killed_at_any_moment_the_name_holds_nothing_or_all_and_a_rerun_cleans_up(tmp_path):
    undisturbed = tmp_path / "undisturbed"
    undisturbed.mkdir()
    assert start_writer(undisturbed).wait() == 0
    whole = {name: contents(undisturbed / name) for name in ("a.tsv", "d")}
    folder = tmp_path / "killed"
    folder.mkdir()
    drawn = random.Random(5)
    for _ in range(20):
        writer = start_writer(folder, pause=0.01)
        time.sleep(drawn.uniform(0.02, 0.15))
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        for name, content in whole.items():
            assert not (folder / name).exists() or contents(folder / name) == content
    assert start_writer(folder).wait() == 0
    assert {name: contents(folder / name) for name in whole} == whole
    assert visible_and_hidden(folder) == ["a.tsv", "d"]


def contents(path):
    return {file.name: file.read_text() for file in path.iterdir()} if path.is_dir() else path.read_text()


def test_of_two_writers_the_second_stops_and_names_the_first(tmp_path):
    first = start_writer(tmp_path, pause=60)
    assert first.stdout.readline() == b"half\n"
    try:
        with pytest.raises(InputError, match=f"being written by process {first.pid} on "), new_file(tmp_path / "a.tsv"):
            pytest.fail("two writers")
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait()
    with new_file(tmp_path / "a.tsv") as partial:  # the lock went with its holder
        partial.write_text("second")
    assert (tmp_path / "a.tsv").read_text() == "second"


def test_an_input_is_the_same_after_somebody_sorted_it(tmp_path):
    rows, output = tmp_path / "articles", tmp_path / "dataset"
    Dataset.from_dict({"title": ["b", "a"]}).save_to_disk(rows)
    with open_step("a step", [rows], NewFolder(output, ())):
        pass
    before = identify(rows)
    load_from_disk(str(rows)).sort("title")
    assert list(rows.glob("cache-*.arrow")), "datasets still does so"
    assert identify(rows) == before and was_made_from(output / MANIFEST_NAME, [rows])
    (rows / "state.json").write_text("{}")
    assert not was_made_from(output / MANIFEST_NAME, [rows])
