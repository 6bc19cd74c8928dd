"""What tests share: `run_script`, a call of a script as users make it, and `sample_corpus`, the sample wiki of
tests/sample after every step from the dump to the training dataset.

The corpus is built once a session by the scripts themselves, in a folder whose name breaks careless scripts. Tests read
it and write nothing into it.
"""

import bz2
import importlib.util
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from filelock import FileLock
from hypothesis import settings
from steps import QUICK, STEPS, Material, make_more

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
LANGUAGES = ("es", "ja")

_PAGES_PER_STREAM = 10
_SECONDS_PER_STEP = 300


@dataclass(frozen=True)
class SampleWiki:
    """Paths of one language of the sample: each step's output."""

    dump: Path
    text: Path
    redirects: Path
    ids: Path
    preprocessed: Path
    dataset: Path


@dataclass(frozen=True)
class SampleCorpus:
    """`wikis["ja"].dataset` and so on; `pivot_ids` is the English id file, `tiny_model` a folder with a model."""

    wikidata_dump: Path
    ids_dir: Path
    pivot_ids: Path
    tiny_model: Path
    wikis: dict[str, SampleWiki]


RunScript = Callable[..., subprocess.CompletedProcess[str]]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--thorough", action="store_true", help="the long form of the tests")


def pytest_configure(config: pytest.Config) -> None:
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # in a shell's background; what the tests start would, too
        signal.signal(signal.SIGINT, signal.default_int_handler)
    settings.register_profile("normal", max_examples=200, deadline=None)
    settings.register_profile("thorough", max_examples=10_000, deadline=None)
    settings.load_profile("thorough" if config.getoption("--thorough") else "normal")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The files that take longest first, so that the two processes of run_tests.sh end together; tests marked thorough
    only with --thorough."""
    items.sort(key=lambda item: item.path.parent.name not in ("training", "evaluation", "scripts"))
    for item in items:
        if item.get_closest_marker("thorough") and not config.getoption("--thorough"):
            item.add_marker(pytest.mark.skip("a slow test of what seldom changes: --thorough runs it"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data beside the repository; the tests that need it are skipped where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("the real data beside the repository (../shared) is not there")
    return SHARED


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes a `step` is for every step of the pipeline, in the normal mode for the quick ones."""
    if "step" in metafunc.fixturenames:
        metafunc.parametrize("step", STEPS if metafunc.config.getoption("--thorough") else QUICK)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What a test records as the property `shown` (how many kills it survived, say) stands at the end of the report."""
    shown = [value for report in terminalreporter.getreports("passed") for name, value in report.user_properties]
    for line in shown:
        terminalreporter.write_line(str(line))


@pytest.fixture(scope="session")
def run_script() -> RunScript:
    """`run_script("preview_dataset.py", "--seed", 1, check=False)`: the finished process, its output as text."""
    return _run_script


@pytest.fixture(autouse=True)
def sigterm() -> None:
    """Scripts that ran in this process took SIGTERM over; one that ignores it hands that on to those that it starts."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the thousands of cases of a property, each of which writes over the file of the one before."""
    return tmp_path_factory.mktemp("scratch")


def run_here(name: str, *options: object) -> Result:
    """`run_script` in this process, where a test has hundreds of runs: `exit_code`, `stdout`, `stderr`."""
    result = CliRunner().invoke(command_of(name), list(map(str, options)))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@cache
def command_of(name: str) -> click.Command:
    specification = importlib.util.spec_from_file_location(name.removesuffix(".py"), ROOT / "scripts" / name)
    module = sys.modules[specification.name] = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module.main


@pytest.fixture(scope="session")
def sample_corpus(tmp_path_factory: pytest.TempPathFactory) -> SampleCorpus:
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # each worker has a folder of its own in that of the session
    root = base / 'it\'s a "corpus" ü日本 $(touch oops)'
    corpus = _paths(root)
    with FileLock(base / "sample-corpus.lock"):
        if not (root / "complete").exists():
            _build(corpus)
            (root / "complete").touch()
    return corpus


@pytest.fixture(scope="session")
def material(sample_corpus: SampleCorpus) -> Material:
    """The sample corpus with what only later steps read, for the tests that disturb every step."""
    root = sample_corpus.wikidata_dump.parent
    with FileLock(root.parent / "material.lock"):
        if not (root / "material complete").exists():
            make_more(Material(root))
            (root / "material complete").touch()
    return Material(root)


def _paths(root: Path) -> SampleCorpus:
    ids = root / "wikidata"
    wikis = {
        language: SampleWiki(
            dump=root / f"{language}wiki-20240901-pages-articles-multistream.xml.bz2",
            text=root / f"{language}wiki-text",
            redirects=root / f"{language}wiki-redirects.tsv",
            ids=ids / f"{language}-wikidata-ids.tsv",
            preprocessed=root / f"{language}wiki-preprocessed",
            dataset=root / f"{language}wiki-dataset",
        )
        for language in LANGUAGES
    }
    dump = root / "wikidata-20240902-all.json.bz2"
    return SampleCorpus(dump, ids, ids / "en-wikidata-ids.tsv", root / "tiny model", wikis)


def _build(corpus: SampleCorpus) -> None:
    corpus.wikidata_dump.parent.mkdir()
    sample = ROOT / "tests/sample"
    corpus.wikidata_dump.write_bytes(bz2.compress((sample / "wikidata-sample.json").read_bytes()))
    options = ["--output_dir", corpus.ids_dir, "--languages", ",".join(["en", *LANGUAGES])]
    _run_script("extract_wikidata_ids.py", "--dump_file", corpus.wikidata_dump, *options)
    for language, wiki in corpus.wikis.items():
        wiki.dump.write_bytes(multistream((sample / f"{language}wiki-sample-pages-articles.xml").read_text("utf-8")))
        wikiextractor = [Path(sys.executable).with_name("wikiextractor"), wiki.dump, "-o", wiki.text, "--processes", 1]
        _run([*wikiextractor, "--html-safe", "", "--links", "--no-templates"])
        _run_script("extract_wikipedia_redirects.py", "--dump_file", wiki.dump, "--output_file", wiki.redirects)
        inputs = ["--dump_file", wiki.dump, "--redirect_file", wiki.redirects, "--wikidata_id_file", wiki.ids]
        _run_script("extract_articles.py", *inputs, "--output_dir", wiki.preprocessed, "--num_workers", 1)
    folders = [option for wiki in corpus.wikis.values() for option in ("--preprocessed_dataset_dir", wiki.preprocessed)]
    _run_script("make_tiny_model.py", *folders, "--output_dir", corpus.tiny_model)
    for wiki in corpus.wikis.values():
        inputs = ["--model_name", corpus.tiny_model, "--preprocessed_dataset_dir", wiki.preprocessed]
        inputs += ["--wikidata_id_file", corpus.pivot_ids]
        _run_script("build_wikipedia_dataset.py", *inputs, "--output_dir", wiki.dataset, "--num_workers", 1)


def multistream(xml: str) -> bytes:
    """The dump as the dump site compresses it: the head, every few pages and the foot are each a bzip2 stream."""
    head, *pages = re.split(r"(?m)^(?=  <page>$)", xml)
    pages[-1], foot = pages[-1].split("</mediawiki>")
    groups = ["".join(pages[start : start + _PAGES_PER_STREAM]) for start in range(0, len(pages), _PAGES_PER_STREAM)]
    return b"".join(bz2.compress(part.encode()) for part in [head, *groups, f"</mediawiki>{foot}"])


def _run_script(name: str, *options: object, **settings: object) -> subprocess.CompletedProcess[str]:
    return _run([sys.executable, ROOT / "scripts" / name, *options], **settings)


def _run(command: list[object], check: bool = True, **settings: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    arguments = [str(part) for part in command]
    finished = subprocess.run(
        arguments,
        capture_output=True,
        encoding="utf-8",
        env=environment,
        timeout=_SECONDS_PER_STEP,
        **settings,
    )
    if check and finished.returncode:
        raise AssertionError(f"{' '.join(arguments)}\nended with {finished.returncode}\n{finished.stderr}")
    return finished
