"""The README is executed, or at least parsed: its commands exist, take these options and name these files; its tree is
the tree; its messages are the project's own."""

import re
import shlex
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
INLINE = re.findall(r"`([^`\n]+)`", README)
COMMANDS = [
    line.strip()
    for text in [*BLOCKS, *INLINE]
    for line in text.replace("\\\n", " ").splitlines()
    if re.search(r"(scripts/\w+\.(py|sh)|\./\w+\.sh|\b\w+\.(py|sh) --)", line) and not line.startswith("#")
]


def split(command):
    """`({variable: value}, script, [options])` of a shell line."""
    words = shlex.split(command)
    variables = {}
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        name, _, value = words.pop(0).partition("=")
        variables[name] = value
    while words and words[0] in ("bash", "python", "sbatch"):
        words.pop(0)
    script = words[0].removeprefix("./")
    if not (ROOT / script).exists():
        script = f"scripts/{script}"
    return variables, script, [word for word in words[1:] if word.startswith("--")]


@cache
def help_of(script, run_script):
    name = script.removeprefix("scripts/")
    return run_script(name, "--help").stdout


@pytest.mark.parametrize("command", sorted(set(COMMANDS)))
def test_a_command_exists_and_takes_its_options(command, run_script):
    variables, script, options = split(command)
    assert (ROOT / script).is_file()
    if script.endswith(".py") and script != "scripts/benchmark.py":
        known = set(re.findall(r"--\w+", help_of(script, run_script)))
        assert set(options) <= known | {"--help"}
    if script.endswith(".sh"):
        text = (ROOT / script).read_text(encoding="utf-8") + (ROOT / "train.sh").read_text(encoding="utf-8")
        assert all(name in text for name in variables)


def test_there_are_commands():
    assert len(set(COMMANDS)) > 20


@pytest.mark.parametrize("path", sorted(set(re.findall(r"(?:configs|docs|scripts|leia|tests)/[\w./-]*\w", README))))
def test_a_path_exists(path):
    assert (ROOT / path).exists()


def test_the_tree_names_every_file_and_no_other():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    wanted = {Path(path).name for path in tracked if path.startswith(("leia/", "scripts/")) and "/tasks/" not in path}
    wanted -= {"__init__.py"}
    tree = README.split("## The tree")[1].split("```")[1]
    named = set(re.findall(r"[\w.]+\.(?:py|sh|html)\b", tree))
    assert wanted - named == set()
    assert named - {Path(path).name for path in tracked} == set()


def test_messages_of_the_troubleshooting_table_are_in_the_code():
    table = README.split("## Troubleshooting")[1].split("\n## ")[0]
    code = "\n".join(path.read_text(encoding="utf-8") for path in [*ROOT.glob("leia/**/*.py"), *ROOT.glob("scripts/*")])
    for cell in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE):
        for message in re.findall(r"`([^`]+)`", cell):
            for part in re.split(r"\.\.\.|\bN\b|\bNAME\b|\bHOST\b|\bxx\b|\bFILE\b|No space left on device", message):
                words = part.strip(" :;")
                assert not words or words in code, words
