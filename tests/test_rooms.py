"""The rooms of the package: which may import which."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "leia"
ROOMS = ("base", "corpus", "data", "training", "evaluation", "tables", "reports", "demonstration", "tasks", "retrieval")
"""In the order of an article's way: a room imports only rooms that stand before it."""

IMPORTED_BY_RETRIEVAL = {"base", "corpus", "tables", "retrieval"}
"""It is a method of its own: of LEIA it may know these alone, and no room knows it, since it is the last one."""


def imports(path):
    """The modules of the package that a file names in an import, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_the_rooms_are_the_folders():
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_no_room_after_it(room):
    later = {f"leia.{name}" for name in ROOMS[ROOMS.index(room) + 1 :]} | {"scripts", "benchmarks", "tests"}
    if room == "tasks":
        later.add("leia")  # a task folder needs the harness and nothing else
    files = list((PACKAGE / room).rglob("*.py"))
    broken = [
        f"{path.relative_to(PACKAGE)}: {name}"
        for path in files
        for name in imports(path)
        if any(name == other or name.startswith(f"{other}.") for other in later)
    ]
    assert files and not broken


def test_retrieval_imports_no_room_of_the_method():
    others = {f"leia.{name}" for name in set(ROOMS) - IMPORTED_BY_RETRIEVAL}
    for path in (PACKAGE / "retrieval").glob("*.py"):
        found = {".".join(name.split(".")[:2]) for name in imports(path)}
        assert not found & others, path.name


def test_base_knows_nothing_of_torch_and_cli_nothing_of_processes():
    for path in (PACKAGE / "base").glob("*.py"):
        assert not {"torch", "transformers"} & {name.split(".")[0] for name in imports(path)}, path.name


def test_scripts_are_imported_by_nothing():
    for path in [*PACKAGE.rglob("*.py"), *(PACKAGE.parent / "benchmarks").glob("*.py")]:
        assert not [name for name in imports(path) if name.startswith("scripts")], path.name


def test_two_modules_never_have_the_same_name():
    names = [path.name for path in PACKAGE.rglob("*.py") if path.name not in ("__init__.py", "utils.py")]
    assert len(names) == len(set(names))
