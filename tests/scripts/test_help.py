"""`--help` of every script: one sentence, what is read and written, options by heading with their defaults, and an
example that the script's own parser takes."""

import re
import shlex
import subprocess
import sys
from dataclasses import fields
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import click
import pytest

from leia.training.arguments import parse
from leia.training.experiment import Experiment

ROOT = Path(__file__).parents[2]
SHELL_FILES = [*ROOT.glob("*.sh"), *(ROOT / "scripts").glob("*.sh")]
SOURCED = ("environment.sh", "set_up.sh", "show_command.sh")


def load(path):
    spec = spec_from_file_location(f"script_{path.stem}", path)
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # `command` reads the docstring of the function's module
    spec.loader.exec_module(module)
    return module.main


def commands():
    for path in sorted((ROOT / "scripts").glob("*.py")):
        main = load(path)
        if isinstance(main, click.Group):
            for name in main.list_commands(None):
                yield pytest.param(
                    f"scripts/{path.name} {name}", main.get_command(None, name), id=f"{path.name} {name}"
                )
        else:
            yield pytest.param(f"scripts/{path.name}", main, id=path.name)


COMMANDS = list(commands())


def sections_of(text):
    """`{heading: its text}` of a help page; the sentences before the first heading are under ''."""
    parts = re.split(r"(?m)^(\S[^\n]*):\n", text)
    return {"": parts[0]} | dict(zip(parts[1::2], parts[2::2], strict=True))


def make_inputs(command, arguments, folder):
    """Empty files and folders under the names that the example gives to options that want existing ones."""
    for parameter in command.params:
        for name in parameter.opts:
            kind = getattr(parameter, "type", None)
            kinds = kind.types if isinstance(kind, click.Tuple) else [kind]
            for place in (k for k, word in enumerate(arguments) if word == name):
                for offset, one in enumerate(kinds, 1):
                    if isinstance(one, click.Path) and one.exists:
                        path = folder / arguments[place + offset]
                        (path if one.dir_okay else path.parent).mkdir(parents=True, exist_ok=True)
                        if one.file_okay:
                            path.touch()


@pytest.mark.parametrize(("called", "command"), COMMANDS)
def test_the_example_is_one_block_that_the_scripts_own_parser_takes(called, command, tmp_path, monkeypatch):
    page = command.get_help(click.Context(command, info_name=called, terminal_width=60))
    example = sections_of(page)["Example"]
    assert all(line.startswith("  ") and len(line) < 120 for line in example.splitlines() if line)
    assert re.match(rf"  (python|accelerate launch .*) {called} ", example + " "), (
        "not wrapped, and of this very script"
    )
    words = shlex.split(example.replace("\\\n", " "))
    arguments = words[words.index(called.split()[0]) + len(called.split()) :]
    make_inputs(command, arguments, tmp_path)
    monkeypatch.chdir(tmp_path)
    given = command.make_context(called, list(arguments)).params  # unknown, missing and bad options are errors here
    if called == "scripts/train.py":  # what click leaves over is for TrainingArguments
        own = {field.name: given[field.name] for field in fields(Experiment)}
        assert parse(ROOT / given["config"], own, given["more"])[1].output_dir == "runs/tiny"


@pytest.mark.parametrize(("called", "command"), COMMANDS)
def test_the_help_begins_with_a_sentence_and_orders_and_explains_the_options(called, command):
    context = click.Context(command, info_name=called, terminal_width=100, show_default=True)
    sections = sections_of(command.get_help(context))
    sentence = sections[""].split("\n\n")[1].strip()
    assert sentence.endswith(".") and ". " not in sentence and len(sentence) < 160
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    required = [one.opts[0] for one in options if one.required]
    assert re.findall(r"(?m)^  (--\w+)", sections.get("Required", "")) == required
    assert list(sections)[1] == "Required" or not required
    assert list(sections)[-2:] == ["Options", "Example"], "what stands under no heading comes last"
    if len(options) - len(required) > 5:
        assert len(sections) > 4 - (not required), "many options stand under headings"
    for one in options:
        name, text = one.get_help_record(context)
        assert one.help and text[0] != "[", name
        assert not one.required or "[required]" in text
        default = one.get_default(context)
        assert one.is_flag or not isinstance(default, str | int | float) or default == "" or "default: " in text, name
        assert name.split(", ")[0].split()[0] in "".join(sections.values())


@pytest.mark.parametrize("path", [path for path in SHELL_FILES if path.name not in SOURCED], ids=lambda path: path.name)
def test_a_shell_file_shows_its_head_and_does_nothing(path, tmp_path):
    shown = subprocess.run(["bash", path, "--help"], cwd=tmp_path, capture_output=True, text=True, timeout=20)
    assert shown.returncode == 0, shown.stderr
    sentence, _, rest = shown.stdout.partition("\n")
    assert sentence and path.name in rest and "set -e" not in rest and "SBATCH" not in shown.stdout
    assert not list(tmp_path.iterdir())
