"""README, CONTRIBUTING and docs/ are true: their commands exist and take these options, their paths exist, their tree
is the tree, their messages are the project's own, the paper's numbers are those of the table's file."""

import re
import shlex
import subprocess
from functools import cache
from itertools import takewhile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
FILES = ("README.md", "CONTRIBUTING.md", *sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/*.md")))
DOCUMENTS = {name: (ROOT / name).read_text(encoding="utf-8") for name in FILES}
README = DOCUMENTS["README.md"]
ARCHITECTURE = DOCUMENTS["docs/architecture.md"]
PATHS = re.compile(r"(?:configs|docs|scripts|leia|tests|benchmarks|\.github)/[\w./-]*\w|\.ci/\w+")


def commands_of(document):
    blocks = re.findall(r"```bash\n(.*?)```", document, re.DOTALL)
    inline = re.findall(r"`([^`\n]+)`", document)
    return {
        line.strip()
        for text in [*blocks, *inline]
        for line in text.replace("\\\n", " ").splitlines()
        if re.search(r"((scripts|\.)/\w+\.(py|sh)|\b\w+\.(py|sh) --)", line) and not line.startswith("#")
    }


COMMANDS = sorted({command for document in DOCUMENTS.values() for command in commands_of(document)})


def split(command):
    """`({variable: value}, script, [options])` of a shell line."""
    words = shlex.split(command, comments=True)
    variables = {}
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        name, _, value = words.pop(0).partition("=")
        variables[name] = value
    while words and words[0] in ("bash", "python", "sbatch"):
        words.pop(0)
    if words[0] == "torchrun":
        words = words[next(place for place, word in enumerate(words) if word.endswith(".py")) :]
    script = words[0].removeprefix("./")
    if not (ROOT / script).exists():
        script = f"scripts/{script}"
    return variables, script, words[1:]


@cache
def help_of(run_script, script, *subcommand):
    return run_script(script.removeprefix("scripts/"), *subcommand, "--help").stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_exists_and_takes_its_options(command, run_script):
    variables, script, arguments = split(command)
    assert (ROOT / script).is_file()
    own = list(takewhile(lambda word: word != "--", arguments))  # behind it stand options of transformers
    options = {word for word in own if word.startswith("--")}
    forwarded_to = {"train.sh": "scripts/train.py", "scripts/run_tests.sh": None}.get(script, script)
    if forwarded_to is not None and forwarded_to.endswith(".py"):
        subcommand = arguments[:1] if script == "scripts/benchmark.py" else ()
        known = set(re.findall(r"--\w+", help_of(run_script, forwarded_to, *subcommand)))
        assert options <= known | {"--help"}
    if script.endswith(".sh"):
        text = (ROOT / script).read_text(encoding="utf-8") + (ROOT / "train.sh").read_text(encoding="utf-8")
        assert all(name in text for name in variables)


def test_there_are_commands():
    assert len(COMMANDS) > 30


PATHS_NAMED = sorted(
    {(name, path) for name, document in DOCUMENTS.items() for path in PATHS.findall(document)}
    | {(name, path) for name, document in DOCUMENTS.items() for path in re.findall(r"\]\(([\w./-]+)\)", document)}
)


@pytest.mark.parametrize(("document", "path"), PATHS_NAMED)
def test_a_path_exists(document, path):
    linked = (ROOT / document).parent / path
    assert (ROOT / path).exists() or linked.exists()


def test_the_python_of_the_readme_inserts_the_name(sample_corpus, tmp_path, monkeypatch):
    (tmp_path / "work/quickstart").mkdir(parents=True)
    (tmp_path / "work/quickstart/tiny-model").symlink_to(sample_corpus.tiny_model)
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    *statements, shown = code.strip().splitlines()
    names = {}
    exec("\n".join(statements), names)
    assert "火<translate> Fire</translate>は" in repr(eval(shown, names))


def test_readme_is_short():
    assert len(README.split()) <= 1_500


def test_the_numbers_of_the_paper_are_those_of_the_table():
    table = yaml.safe_load((ROOT / "configs/tables/table1.yaml").read_text(encoding="utf-8"))
    for part in table["parts"]:
        for row in table["rows"]:
            numbers = " | ".join(f"{100 * number:.1f}" for number, *_ in row["authors"][part["name"]].values())
            assert f"| {row['label']} | {numbers} |" in README
        assert f"| {' | '.join(part['columns'])} |" in README


def paths_of_tree(tree):
    """The files that a tree with two spaces a level names; a line holds names, then more spaces, then what they are."""
    folders, paths = [], set()
    for line in tree.strip("\n").splitlines():
        names = re.match(r" *((?:[\w.]+(?:/|\.\w+)(?= |$) ?)+)", line)
        level = (len(line) - len(line.lstrip())) // 2
        for name in names[1].split():
            if name.endswith("/"):
                folders = [*folders[:level], name]
            else:
                paths.add("".join([*folders[:level], name]))
    return paths


def test_the_tree_names_every_file_and_no_other():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    rooms = [
        path for path in tracked if path.startswith(("leia/", "scripts/", "benchmarks/")) and "/tasks/" not in path
    ]
    files = {path for path in rooms if Path(path).name not in ("__init__.py", "py.typed")}
    files |= {"leia/__init__.py", "train.sh", "evaluate.sh"}
    named = paths_of_tree(ARCHITECTURE.split("## The tree")[1].split("```")[1])
    assert files - named == set(), "not in the tree"
    assert named - files == set(), "in the tree only"


def test_the_graph_names_every_room():
    rooms = {path.parent.name for path in ROOT.glob("leia/*/__init__.py")}
    graph = ARCHITECTURE.split("```mermaid")[1].split("```")[0]
    assert {room for room in rooms if f" {room}[" not in graph} == set()


def test_messages_of_the_troubleshooting_table_are_in_the_code():
    code = "\n".join(path.read_text(encoding="utf-8") for path in [*ROOT.glob("leia/**/*.py"), *ROOT.glob("scripts/*")])
    cells = re.findall(r"^\| (`.*?) \|", DOCUMENTS["docs/troubleshooting.md"], re.MULTILINE)
    assert len(cells) > 10
    for cell in cells:
        for message in re.findall(r"`([^`]+)`", cell):
            for part in re.split(r"\.\.\.|\bN\b|\bNAME\b|\bHOST\b|\bxx\b|\bFILE\b|No space left on device", message):
                words = part.strip(" :;")
                assert not words or words in code, words


def test_the_lowest_versions_are_those_that_were_tried():
    """`setup.py` promises what requirements.txt pins, or what docs/reliability.md says was tried."""
    pins = dict(re.findall(r"^([\w-]+)==(\S+)$", (ROOT / "requirements.txt").read_text(), re.MULTILINE))
    lowest = dict(re.findall(r'"([\w-]+)>=([\d.]+)"', (ROOT / "setup.py").read_text()))
    assert {"torch", "transformers", "lm-eval", "deepspeed"} <= lowest.keys()
    tried = DOCUMENTS["docs/reliability.md"]
    untried = {
        name: bound
        for name, bound in lowest.items()
        if not f"{pins.get(name)}.".startswith(f"{bound}.") and f"{name} {bound}" not in tried
    }
    assert not untried
