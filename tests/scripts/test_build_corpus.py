"""scripts/build_corpus.sh, run as users run it, against a server on this machine that is laid out as the dump site.

The main run is killed at a random moment, its download broken off once, in folders whose names break careless scripts.
"""

import gzip
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import multistream
from dump_site import JSON, TABLE, DumpSite, content_export, serve

from leia.base.outputs import held

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts/build_corpus.sh"
FOLDER = 'it\'s é $(touch oops) "x"'
NOWHERE = "http://127.0.0.1:9"
COMMANDS = 8
"""That many commands are run, the last two of which are the statistics."""
SAMPLE = ROOT / "tests/sample/jawiki-sample-pages-articles.xml"
SQL_SAMPLE = ROOT / "tests/sample/wikidatawiki-sample-wb_items_per_site.sql"


@pytest.fixture(scope="module")
def dump_site(sample_corpus) -> Iterator[DumpSite]:
    files = {
        **content_export("jawiki", "2024-09-01", _parts(SAMPLE.read_text("utf-8"))),
        TABLE: gzip.compress(SQL_SAMPLE.read_bytes()),
        JSON: sample_corpus.wikidata_dump.read_bytes(),
    }
    with serve(files) as site:
        yield site


def _parts(xml: str) -> dict[str, bytes]:
    """A dump in three parts, each by the ids of its first and last page."""
    head, *pages = re.split(r"(?m)^(?=  <page>$)", xml)
    pages[-1] = pages[-1].removesuffix("</mediawiki>\n")
    third = len(pages) // 3
    groups = pages[:third], pages[third : 2 * third], pages[2 * third :]
    last = [int(re.search(r"<id>(\d+)</id>", group[-1])[1]) for group in groups]
    ranges = zip([1, *(page + 1 for page in last)], last, strict=False)
    files = [multistream("".join([head, *group, "</mediawiki>\n"])) for group in groups]
    return {f"p{first}p{last}": contents for (first, last), contents in zip(ranges, files, strict=True)}


def _environment(site: str, folder: Path, **variables: object) -> dict[str, str]:
    ours = "LANG", "LC_ALL", "PYTHON", "VIRTUAL_ENV", "CONDA_PREFIX"
    inherited = {name: value for name, value in os.environ.items() if name not in ours and "proxy" not in name.lower()}
    settings = {
        "LANG": "ja",
        "PYTHON": sys.executable,
        "DUMP_SITE": site,
        "ARCHIVE_SITE": f"{site}/archive",
        "WIKIPEDIA_DUMP_DATE": "20240901",
        "WIKIDATA_DUMP_DATE": "20240901",
        "WIKIPEDIA_DATA_DIR": folder / "wikipedia",
        "WIKIDATA_DATA_DIR": folder / "wikidata",
        "WIKIPEDIA_DATASET_DIR": folder / "dataset",
        "NUM_WORKERS": 2,
        "HF_HUB_OFFLINE": 1,
        "OMP_NUM_THREADS": 1,
        **variables,
    }
    return inherited | {name: str(value) for name, value in settings.items()}


def _run(environment: dict[str, str], *arguments: str, **settings: object) -> subprocess.CompletedProcess[str]:
    command = ["bash", str(SCRIPT), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", timeout=300, **settings)


@dataclass(frozen=True)
class Build:
    """A finished corpus: its `folder`, the `environment` of the run, the moment when the first try was killed, and what
    the requests for the `part` whose transfer broke off asked for."""

    folder: Path
    environment: dict[str, str]
    killed: str
    part: str
    ranges: list[str | None]


@pytest.fixture(scope="module")
def build(dump_site: DumpSite, sample_corpus, tmp_path_factory: pytest.TempPathFactory) -> Build:
    folder = tmp_path_factory.mktemp("build") / FOLDER
    environment = _environment(dump_site.url, folder, MODEL_NAME_OR_PATH=sample_corpus.tiny_model)
    part = [path for path in dump_site.files if "/jawiki-2024-09-01-p" in path][1]
    dump_site.break_off.add(part)
    command, seconds = random.randint(1, COMMANDS - 1), random.random()  # the check of the tokenizer is not shown
    killed = f"command {command} after {seconds:.3f} s"
    first = subprocess.Popen(
        ["bash", SCRIPT], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8"
    )
    shown = 0
    for line in first.stdout:
        shown += "$ " in line and ".py" in line
        if shown == command:
            break
    time.sleep(seconds)
    first.send_signal(signal.SIGKILL)  # the script alone: its steps must not live on
    first.wait()
    finished = _run(environment)
    assert finished.returncode == 0, f"killed in {killed}: {finished.stderr}"
    first.stdout.close()
    return Build(folder, environment, killed, part, dump_site.ranges(part))


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*") if path.name != "manifest.json"}


def test_a_killed_run_is_finished_with_the_same_dataset(build: Build, sample_corpus) -> None:
    assert _contents(build.folder / "dataset") == _contents(sample_corpus.wikis["ja"].dataset), build.killed
    articles = build.folder / "wikipedia/jawiki-preprocessed"
    assert _contents(articles) == _contents(sample_corpus.wikis["ja"].preprocessed), build.killed
    leftovers = [path.name for path in build.folder.rglob("*") if path.name.endswith((".partial", ".former", ".bz2"))]
    assert len(leftovers) == 3 and {name[:18] for name in leftovers} == {"jawiki-2024-09-01-"}, build.killed


def test_a_download_that_breaks_off_continues_where_it_stopped(build: Build, dump_site: DumpSite) -> None:
    half = len(dump_site.files[build.part]) // 2
    assert build.ranges[:1] == [None]
    assert f"bytes={half}-" in build.ranges
    downloaded = build.folder / "wikipedia/jawiki-dump" / build.part.rpartition("/")[2]
    assert downloaded.read_bytes() == dump_site.files[build.part]


def test_folder_names_are_names_and_not_commands(build: Build) -> None:
    assert sorted(path.name for path in build.folder.parent.iterdir()) == [FOLDER]
    assert not (Path.cwd() / "oops").exists()


def _state(folder: Path) -> dict[Path, tuple[int, bytes]]:
    """Every file with its content and the time of its last change; of the statistics, which are counted again, 0."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {
        path.relative_to(folder): (0 if "statistics" in path.name else path.stat().st_mtime_ns, path.read_bytes())
        for path in files
    }


def test_a_second_call_does_nothing_and_needs_no_dumps(build: Build, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(build.folder, folder)
    shutil.rmtree(folder / "wikipedia/jawiki-dump")
    (folder / "wikidata/wikidatawiki-wb_items_per_site.sql.gz").unlink()
    before = _state(folder)
    model = build.environment["MODEL_NAME_OR_PATH"]
    finished = _run(_environment(NOWHERE, folder, MODEL_NAME_OR_PATH=model))
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.count("complete already: ") == 2 + 4  # two dumps, four steps
    assert _state(folder) == before


def test_another_date_is_another_corpus(build: Build) -> None:
    newer = _run(build.environment | {"WIKIPEDIA_DUMP_DATE": "20240920", "DUMP_SITE": NOWHERE})
    expected = "expected the export of 2024-09-20, found that of 2024-09-01; give another date another folder"
    assert newer.returncode == 1 and expected in newer.stderr


@pytest.mark.thorough
def test_printed_commands_do_the_work_with_the_json_dump(build: Build, dump_site: DumpSite, tmp_path: Path) -> None:
    folder = tmp_path / FOLDER
    shutil.copytree(build.folder, folder)
    model = build.environment["MODEL_NAME_OR_PATH"]
    json_dump = {"WIKIDATA_SOURCE": "json", "WIKIDATA_DUMP_DATE": "20240902"}
    environment = _environment(dump_site.url, folder, MODEL_NAME_OR_PATH=model, **json_dump)
    ids = folder / "wikidata/ids-en-ja"
    from_table = {path.name: sorted(path.read_text("utf-8").splitlines()) for path in ids.glob("*.tsv")}
    before = sorted(folder.rglob("*"))
    printed = _run({**environment, "DRY_RUN": "1"}).stdout
    assert sorted(folder.rglob("*")) == before
    assert "é" in printed and "\\303" not in printed  # read by people, too
    pasted = ["bash", "-euo", "pipefail", "-c", printed]
    shown = subprocess.run(pasted, env=environment, check=True, capture_output=True, text=True, timeout=300).stdout
    assert f"complete already: {folder}/wikipedia/jawiki-dump\n" in shown
    assert f"complete already: {folder}/wikipedia/jawiki-preprocessed\n" in shown
    assert (folder / "wikidata/wikidata-all.json.bz2").read_bytes() == dump_site.files[JSON]
    assert from_table == {path.name: sorted(path.read_text("utf-8").splitlines()) for path in ids.glob("*.tsv")}
    assert '"wikidata-all.json.bz2"' in (ids / "wikidata-ids.manifest.json").read_text("utf-8")


def test_a_failed_step_is_one_line_and_the_last(dump_site: DumpSite, sample_corpus, tmp_path: Path) -> None:
    model = {"MODEL_NAME_OR_PATH": sample_corpus.tiny_model}
    finished = _run(_environment(dump_site.url, tmp_path / "out", WIKIPEDIA_DUMP_DATE="20230701", **model))
    assert finished.returncode == 1
    assert "expected a complete export of 2023-07-01 at " in finished.stderr
    assert finished.stderr.endswith("; take one that is there (2024-09-01)\n")
    assert len(finished.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_model_without_a_tokenizer_is_told_before_anything_is_downloaded(dump_site: DumpSite, tmp_path: Path) -> None:
    requests = len(dump_site.requests)
    finished = _run(_environment(dump_site.url, tmp_path / "out", MODEL_NAME_OR_PATH=tmp_path / "none"))
    assert finished.returncode == 1
    assert finished.stderr.startswith(f"error: MODEL_NAME_OR_PATH: {tmp_path}/none: ")
    assert len(finished.stderr.splitlines()) == 1
    assert len(dump_site.requests) == requests and not (tmp_path / "out").exists()


def test_the_second_of_two_at_once_names_the_first(sample_corpus, tmp_path: Path) -> None:
    dumps = {"WIKIPEDIA_DUMP_FILE": sample_corpus.wikis["ja"].dump, "WIKIDATA_DUMP_FILE": sample_corpus.wikidata_dump}
    with held(tmp_path / "wikipedia/jawiki-redirects.tsv"):
        finished = _run(_environment(NOWHERE, tmp_path, MODEL_NAME_OR_PATH=sample_corpus.tiny_model, **dumps))
    assert finished.returncode == 1 and len(finished.stderr.splitlines()) == 1
    assert f"jawiki-redirects.tsv: is being written by process {os.getpid()} on " in finished.stderr
    assert not list(tmp_path.rglob("jawiki-preprocessed"))


def test_a_wrong_dump_is_refused_before_any_work(sample_corpus, tmp_path: Path) -> None:
    dump = sample_corpus.wikidata_dump
    wrong = {"WIKIPEDIA_DUMP_FILE": dump, "MODEL_NAME_OR_PATH": sample_corpus.tiny_model}
    finished = _run(_environment(NOWHERE, tmp_path / "out", **wrong))
    assert finished.returncode == 2
    assert finished.stderr.startswith(f"error: {dump}: ") and len(finished.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_dry_run_prints_the_commands_and_does_nothing(tmp_path: Path) -> None:
    finished = _run(_environment("https://dumps.example", tmp_path, LANG="zh-min-nan", DRY_RUN=1))
    lines = [shlex.split(line, comments=True) for line in finished.stdout.splitlines()]
    scripts = [Path(words[1]).name for words in lines if words and words[0] == sys.executable]
    assert scripts[:3] == ["check_tokenizer.py", "download_dumps.py", "extract_wikipedia_redirects.py"]
    assert len(scripts) == COMMANDS
    named = [words[words.index("--dump_file") + 1] for words in lines if "--dump_file" in words]
    dump = f"{tmp_path}/wikipedia/zh_min_nanwiki-dump"
    assert named == [dump, f"{tmp_path}/wikidata/wikidatawiki-wb_items_per_site.sql.gz", dump]
    assert "--languages en,zh-min-nan\n" in finished.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("language", ["../../x", "en_US.UTF-8", "C", "$(touch oops)", "ja;ls", "", "ja\nen"])
def test_what_is_not_a_language_code_is_refused(language: str, tmp_path: Path) -> None:
    finished = _run(_environment("https://dumps.example", tmp_path, LANG=language))
    assert finished.returncode == 2
    assert finished.stderr.startswith("error: LANG, ") and len(finished.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_wrong_settings_are_wrong_use(tmp_path: Path) -> None:
    for change in (
        {"WIKIDATA_SOURCE": "xml"},
        {"WIKIPEDIA_DUMP_DATE": "latest"},
        {"WIKIDATA_DUMP_DATE": "latest"},
        {"NUM_WORKERS": "all"},
        {"PIVOT_LANGUAGE": "English"},
    ):
        finished = _run(_environment("https://dumps.example", tmp_path, **change))
        assert finished.returncode == 2
        (variable, value), *_ = change.items()
        assert finished.stderr.startswith("error: ") and len(finished.stderr.splitlines()) == 1
        assert variable.lower() in finished.stderr.lower() and f"'{value}'" in finished.stderr
        assert not list(tmp_path.iterdir())
    finished = _run(_environment("https://dumps.example", tmp_path), "ja")
    assert finished.returncode == 2 and len(finished.stderr.splitlines()) == 1


def test_help_names_every_variable() -> None:
    shown = _run(dict(os.environ), "--help").stdout
    used = set(re.findall(r"\$\{([A-Z_]+):[-+]", SCRIPT.read_text("utf-8")))
    used -= {"VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH"}
    assert len(used) > 10
    assert not [name for name in used if name not in shown]
