"""A step: what it reads is identified, what it writes is complete, and a rerun with the same inputs does nothing."""

import json

import pytest

from leia.base.errors import AlreadyComplete, InputError, MissingInput, UsageError
from leia.base.outputs import NewFile, NewFiles, NewFolder, new_folder
from leia.base.step import Counts, FilesIn, open_step


def run(tmp_path, options=None, overwrite=False, text="rows"):
    output = NewFile(tmp_path / "out.tsv")
    with open_step("make_rows", [tmp_path / "in.txt"], output, options, overwrite) as step:
        step.target.write_text(text)
        step.count("rows").kept += 2
        step.count("rows").drop("too long")


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "in.txt"
    path.write_text("input")
    return path


def test_the_manifest_says_what_was_read_and_counted(tmp_path, source, capsys):
    run(tmp_path, {"most": 3})
    assert (tmp_path / "out.tsv").read_text() == "rows"
    manifest = json.loads((tmp_path / "out.tsv.manifest.json").read_text())
    assert manifest["inputs"][0] | {"sha256": ""} == {"name": "in.txt", "bytes": 5, "sha256": ""}
    assert (manifest["step"], manifest["options"]) == ("make_rows", {"most": 3})
    assert manifest["tally"] == {"rows": {"read": 3, "kept": 2, "dropped": {"too long": 1}}}
    assert str(tmp_path) not in json.dumps(manifest)
    assert capsys.readouterr().out.startswith("rows: 3 read, 2 kept\n")


@pytest.mark.parametrize("change", ["nothing", "input deleted", "another option", "another input", "output deleted"])
def test_a_rerun_works_only_where_the_output_is_not_what_it_would_make(tmp_path, source, change):
    run(tmp_path, {"most": 3})
    options = {"most": 4 if change == "another option" else 3}
    if change == "input deleted":
        source.unlink()
    elif change == "another input":
        source.write_text("another input")
    elif change == "output deleted":
        (tmp_path / "out.tsv").unlink()
    if change in ("nothing", "input deleted"):
        with pytest.raises(AlreadyComplete, match=r"complete already: .*out\.tsv"):
            run(tmp_path, options, text="new rows")
        assert (tmp_path / "out.tsv").read_text() == "rows"
    else:
        run(tmp_path, options, text="new rows")
        assert (tmp_path / "out.tsv").read_text() == "new rows"


def test_a_rerun_knows_inputs_by_their_order_and_by_what_small_ones_hold(tmp_path):
    files = [tmp_path / folder / "in.txt" for folder in ("a", "b")]
    output = NewFile(tmp_path / "out.tsv")
    for number, path in enumerate(files):
        path.parent.mkdir()
        path.write_text(f"input {number}")

    def is_made_again(*inputs):
        try:
            with open_step("join", inputs, output) as step:
                step.target.write_text("rows")
        except AlreadyComplete:
            return False
        return True

    assert is_made_again(*files) and not is_made_again(*files)
    assert is_made_again(files[1], files[0]), "two inputs of one name"
    assert is_made_again(files[1]) and not is_made_again(files[1])
    files[1].write_text("INPUT 1")  # corrected by hand, of the same length
    assert is_made_again(files[1]) and not is_made_again(files[1])


@pytest.mark.parametrize("kind", ["file", "files", "folder", "files of a folder"])
def test_an_input_is_never_replaced(tmp_path, source, kind):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.tsv").write_text("rows")
    reads, output = {
        "file": (source, NewFile(tmp_path / "folder/../in.txt")),
        "files": (source, NewFiles({"a": tmp_path / "x", "b": source}, tmp_path / "manifest.json")),
        "folder": (folder, NewFolder(folder, ("*.tsv",))),
        "files of a folder": (FilesIn(folder, ("*.tsv",)), NewFolder(folder, ("*.tsv",))),
    }[kind]
    with pytest.raises(UsageError, match=r"is an input of this step, .* name another"), open_step("s", [reads], output):
        pytest.fail("it began")
    assert source.read_text() == "input" and (folder / "a.tsv").read_text() == "rows"


def test_overwrite_makes_it_again(tmp_path, source):
    run(tmp_path)
    run(tmp_path, overwrite=True, text="new rows")
    assert (tmp_path / "out.tsv").read_text() == "new rows"


def test_a_missing_input_is_said_before_anything_is_written(tmp_path):
    with pytest.raises(MissingInput):
        run(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["files", "folder"])
def test_a_step_that_fails_leaves_neither_output_nor_manifest(tmp_path, source, kind):
    output = {
        "files": NewFiles({"a": tmp_path / "o/a.tsv", "b": tmp_path / "o/b.tsv"}, tmp_path / "o/manifest.json"),
        "folder": NewFolder(tmp_path / "o", ("*.tsv",)),
    }[kind]
    with pytest.raises(InputError), open_step("make_rows", [source], output):
        raise InputError("a bad row")
    assert [path.name for path in tmp_path.rglob("*")] == ["in.txt"]


OUTPUTS = {
    "file": lambda folder: NewFile(folder / "rows"),
    "files": lambda folder: NewFiles({"a": folder / "rows", "b": folder / "b"}, folder / "manifest.json"),
    "folder": lambda folder: NewFolder(folder / "rows", ("*",)),
}


def make_output(kind, source, folder):
    with open_step("make_rows", [source], OUTPUTS[kind](folder)) as step:
        places = step.target.values() if kind == "files" else [step.target / "a" if kind == "folder" else step.target]
        for place in places:
            place.write_text("rows")


@pytest.mark.parametrize("kind", OUTPUTS)
def test_a_rerun_tidies_up_after_one_that_was_killed_when_its_output_was_complete(tmp_path, source, kind):
    make_output(kind, source, tmp_path / "o")
    complete = sorted(tmp_path.rglob("*"))
    output = OUTPUTS[kind](tmp_path / "o")
    for place in output.places if kind == "folder" else [*output.places, output.manifest]:
        place.with_name(f".{place.name}.lock").touch()
    if kind == "folder":
        (tmp_path / "o/.rows.former").mkdir()
        (tmp_path / "o/.rows.former/a").touch()
    with pytest.raises(AlreadyComplete):
        make_output(kind, source, tmp_path / "o")
    assert sorted(tmp_path.rglob("*")) == complete


def test_a_rerun_removes_nothing_of_one_that_writes_the_complete_output_again(tmp_path, source):
    make_output("folder", source, tmp_path / "o")
    with new_folder(tmp_path / "o/rows", ("*",)) as partial:
        (partial / "a").write_text("new rows")
        with pytest.raises(AlreadyComplete):
            make_output("folder", source, tmp_path / "o")
    assert (tmp_path / "o/rows/a").read_text() == "new rows"


def test_a_rerun_in_the_output_folder_itself_finds_it_complete(tmp_path, source, monkeypatch):
    make_output("folder", source, tmp_path / "o")
    monkeypatch.chdir(tmp_path / "o/rows")
    with pytest.raises(AlreadyComplete), open_step("make_rows", [source], NewFolder(".", ("*",))):
        pytest.fail("made again")


def test_counts_of_workers_add_up():
    total, part = Counts(), Counts()
    part.count("links").kept += 3
    part.count("links").drop("no text", 2)
    for _ in range(2):
        total.add(part)
    assert total.as_dict() == {"links": {"read": 10, "kept": 6, "dropped": {"no text": 4}}}
