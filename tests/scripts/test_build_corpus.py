"""scripts/build_corpus.sh, run as users run it, against a server on this machine that is laid out as the dump site.

The main run is killed at a random moment, its download broken off once, in folders whose names break careless scripts.
"""

import fcntl
import gzip
import hashlib
import http.server
import os
import random
import re
import resource
import shutil
import signal
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from leia.base.errors import InputError
from leia.corpus.downloads import check_wikidata_dump

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts/build_corpus.sh"
FOLDER = 'it\'s é $(touch oops) "x"'

JA_DUMP = "/jawiki/20240901/jawiki-20240901-pages-articles-multistream.xml.bz2"
SQL_DUMP = "/wikidatawiki/20240901/wikidatawiki-20240901-wb_items_per_site.sql.gz"
JSON_DUMP = "/wikidatawiki/entities/20240902/wikidata-20240902-all.json.bz2"


@dataclass
class DumpSite:
    """Files by path. A transfer of a path in `break_off` ends half way, once; `requests` are (path, Range header)."""

    url: str
    files: dict[str, bytes]
    break_off: set[str] = field(default_factory=set)
    requests: list[tuple[str, str | None]] = field(default_factory=list)


def _handler(site: DumpSite) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            site.requests.append((self.path, wanted))
            contents = site.files.get(self.path)
            if contents is None:
                self.send_error(404)
                return
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
            if start >= len(contents):
                self.send_error(416)
                return
            self.send_response(206 if wanted else 200)
            if wanted:
                self.send_header("Content-Range", f"bytes {start}-{len(contents) - 1}/{len(contents)}")
            self.send_header("Content-Length", str(len(contents) - start))
            self.end_headers()
            end = len(contents)
            if self.path in site.break_off:
                site.break_off.discard(self.path)
                end = (start + end) // 2
            self.wfile.write(contents[start:end])

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@pytest.fixture(scope="module")
def dump_site(sample_corpus) -> Iterator[DumpSite]:
    files = {
        JA_DUMP: sample_corpus.wikis["ja"].dump.read_bytes(),
        SQL_DUMP: gzip.compress((ROOT / "tests/sample/wikidatawiki-sample-wb_items_per_site.sql").read_bytes()),
        JSON_DUMP: sample_corpus.wikidata_dump.read_bytes(),
    }
    for path, contents in list(files.items()):
        folder, _, name = path.rpartition("/")
        sums = f"{folder}/{'-'.join(name.split('-')[:2])}-sha1sums.txt"
        other = f"{hashlib.sha1(b'other').hexdigest()}  {name}.other\n"
        files[sums] = f"{other}{hashlib.sha1(contents).hexdigest()}  {name}\n".encode()
    site = DumpSite("", files)
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _handler(site)) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        site.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield site
        server.shutdown()


def _environment(site: str, folder: Path, **variables: object) -> dict[str, str]:
    ours = "LANG", "LC_ALL", "PYTHON", "VIRTUAL_ENV", "CONDA_PREFIX"
    inherited = {name: value for name, value in os.environ.items() if name not in ours and "proxy" not in name.lower()}
    settings = {
        "LANG": "ja",
        "PYTHON": sys.executable,
        "DUMP_SITE": site,
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
    """A finished corpus: its `folder`, the `environment` of the run, the moment when the first try was killed."""

    folder: Path
    environment: dict[str, str]
    killed: str
    requests: list[tuple[str, str | None]]


@pytest.fixture(scope="module")
def build(dump_site: DumpSite, sample_corpus, tmp_path_factory: pytest.TempPathFactory) -> Build:
    folder = tmp_path_factory.mktemp("build") / FOLDER
    environment = _environment(dump_site.url, folder, MODEL_NAME_OR_PATH=sample_corpus.tiny_model)
    dump_site.break_off.add(JA_DUMP)
    step, seconds = random.randint(1, 7), random.random()
    killed = f"step {step} after {seconds:.3f} s"
    first = subprocess.Popen(
        ["bash", SCRIPT], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8"
    )
    for line in first.stdout:
        if line.startswith(f"step {step} "):
            break
    time.sleep(seconds)
    first.send_signal(signal.SIGKILL)  # the script alone: its steps must not live on
    first.wait()
    finished = _run(environment)
    assert finished.returncode == 0, f"killed in {killed}: {finished.stderr}"
    first.stdout.close()
    return Build(folder, environment, killed, list(dump_site.requests))


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*") if path.name != "manifest.json"}


def test_a_killed_run_is_finished_with_the_same_dataset(build: Build, sample_corpus) -> None:
    assert _contents(build.folder / "dataset") == _contents(sample_corpus.wikis["ja"].dataset), build.killed
    ours = {path.name: path.read_bytes() for path in (build.folder / "wikipedia/jawiki-text").rglob("wiki_*")}
    assert ours == {path.name: path.read_bytes() for path in sample_corpus.wikis["ja"].text.rglob("wiki_*")}
    leftovers = [path.name for path in build.folder.rglob("*") if path.name.endswith((".partial", ".former", ".bz2"))]
    assert leftovers == [JA_DUMP.rpartition("/")[2]], build.killed


def test_a_download_that_breaks_off_goes_on_where_it_stopped(build: Build, dump_site: DumpSite) -> None:
    transfers = [wanted for path, wanted in build.requests if path == JA_DUMP]
    half = len(dump_site.files[JA_DUMP]) // 2
    assert transfers[:1] == [None]
    assert f"bytes={half}-" in transfers
    downloaded = build.folder / "wikipedia" / JA_DUMP.rpartition("/")[2]
    assert downloaded.read_bytes() == dump_site.files[JA_DUMP]


def test_folder_names_are_names_and_no_commands(build: Build) -> None:
    assert sorted(path.name for path in build.folder.parent.iterdir()) == [FOLDER]
    assert not (Path.cwd() / "oops").exists()


def test_a_second_call_does_nothing(build: Build, dump_site: DumpSite) -> None:
    def state() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in build.folder.rglob("*") if path.suffix != ".lock"}

    before, requests = state(), len(dump_site.requests)
    finished = _run(build.environment)
    assert finished.returncode == 0
    assert "nothing was left to do" in finished.stdout
    assert state() == before
    assert len(dump_site.requests) == requests


def test_a_used_dump_can_be_deleted(build: Build, tmp_path: Path) -> None:
    shutil.copytree(build.folder, tmp_path / "copy")
    (tmp_path / "copy/wikipedia" / JA_DUMP.rpartition("/")[2]).unlink()
    model = build.environment["MODEL_NAME_OR_PATH"]
    finished = _run(_environment("http://127.0.0.1:9", tmp_path / "copy", MODEL_NAME_OR_PATH=model))
    assert "nothing was left to do" in finished.stdout, finished.stderr


def test_other_settings_are_no_longer_complete(build: Build) -> None:
    for change in (
        {"MODEL_NAME_OR_PATH": "other/model"},
        {"PIVOT_LANGUAGE": "es"},
        {"WIKIPEDIA_DUMP_DATE": "20240920"},
    ):
        planned = _run({**build.environment, **change, "DRY_RUN": "1"}).stdout
        assert "build_wikipedia_dataset.py --model_name" in planned or "20240920" in planned, change


def test_printed_commands_do_the_work_with_the_json_dump(build: Build, dump_site: DumpSite, tmp_path: Path) -> None:
    folder = tmp_path / FOLDER
    shutil.copytree(build.folder, folder)
    model = build.environment["MODEL_NAME_OR_PATH"]
    json_dump = {"WIKIDATA_SOURCE": "json", "WIKIDATA_DUMP_DATE": "20240902"}
    environment = _environment(dump_site.url, folder, MODEL_NAME_OR_PATH=model, **json_dump)
    ids = folder / "wikidata/ids-en-ja"
    from_table = {path.name: sorted(path.read_text("utf-8").splitlines()) for path in ids.glob("*.tsv")}
    # An earlier run was killed when the download was complete, but not yet checked.
    (folder / "wikidata/incomplete" / JSON_DUMP.rpartition("/")[2]).write_bytes(dump_site.files[JSON_DUMP])
    before = sorted(folder.rglob("*"))
    printed = _run({**environment, "DRY_RUN": "1"}).stdout
    assert sorted(folder.rglob("*")) == before
    assert "é" in printed and "\\303" not in printed  # read by people, too
    pasted = ["bash", "-euo", "pipefail", "-c", printed]
    subprocess.run(pasted, env=environment, check=True, capture_output=True, timeout=300)
    assert (folder / "wikidata" / JSON_DUMP.rpartition("/")[2]).read_bytes() == dump_site.files[JSON_DUMP]
    assert from_table == {path.name: sorted(path.read_text("utf-8").splitlines()) for path in ids.glob("*.tsv")}
    assert "complete already" in _run(environment).stdout


def test_a_wrong_checksum_keeps_the_file_from_its_name(dump_site: DumpSite, sample_corpus, tmp_path: Path) -> None:
    changed = dict(dump_site.files)
    changed[JA_DUMP] = changed[JA_DUMP][:-1] + b"x"
    original, dump_site.files = dump_site.files, changed
    try:
        environment = _environment(dump_site.url, tmp_path, MODEL_NAME_OR_PATH=sample_corpus.tiny_model)
        finished = _run(environment)
    finally:
        dump_site.files = original
    errors = [line for line in finished.stderr.splitlines() if line.startswith("error")]
    assert finished.returncode == 1
    assert len(errors) == 1 and "SHA-1" in errors[0] and JA_DUMP in errors[0]
    assert not list(tmp_path.rglob("*.bz2"))


def test_a_date_that_left_the_site_is_told(dump_site: DumpSite, sample_corpus, tmp_path: Path) -> None:
    model = {"MODEL_NAME_OR_PATH": sample_corpus.tiny_model}
    finished = _run(_environment(dump_site.url, tmp_path, WIKIPEDIA_DUMP_DATE="20230701", **model))
    assert finished.returncode == 1
    assert f"set WIKIPEDIA_DUMP_DATE to a date of {dump_site.url}/jawiki/" in finished.stderr
    assert len(finished.stderr.splitlines()) == 1


def test_a_site_that_cannot_be_reached_is_one_line(sample_corpus, tmp_path: Path) -> None:
    finished = _run(_environment("http://127.0.0.1:9", tmp_path, MODEL_NAME_OR_PATH=sample_corpus.tiny_model))
    assert finished.returncode == 1
    assert len(finished.stderr.splitlines()) == 1 and finished.stderr.startswith("error: http://127.0.0.1:9/jawiki/")
    assert "cannot be reached; check the network and DUMP_SITE" in finished.stderr


def test_a_download_that_cannot_be_written_says_so(dump_site: DumpSite, sample_corpus, tmp_path: Path) -> None:
    limit = len(dump_site.files[JA_DUMP]) // 2
    environment = _environment(dump_site.url, tmp_path, MODEL_NAME_OR_PATH=sample_corpus.tiny_model)
    finished = _run(environment, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    errors = [line for line in finished.stderr.splitlines() if line.startswith("error")]
    assert finished.returncode == 1
    assert len(errors) == 1 and f"{tmp_path}/wikipedia/incomplete: the file-size limit" in errors[0]
    assert not list((tmp_path / "wikipedia").glob("*.bz2"))


def test_the_second_of_two_at_once_stops(sample_corpus, tmp_path: Path) -> None:
    environment = _environment("http://127.0.0.1:9", tmp_path, MODEL_NAME_OR_PATH=sample_corpus.tiny_model)
    lock = tmp_path / "wikipedia/.jawiki.build_corpus.lock"
    lock.parent.mkdir()
    with lock.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        handle.write("process 7 on host")
        handle.flush()
        finished = _run(environment)
    assert finished.returncode == 1
    assert len(finished.stderr.splitlines()) == 1
    assert "process 7 on host builds jawiki here" in finished.stderr


def test_a_dump_of_another_wiki_is_refused(sample_corpus, tmp_path: Path) -> None:
    other = {"WIKIPEDIA_DUMP_FILE": sample_corpus.wikis["es"].dump, "MODEL_NAME_OR_PATH": sample_corpus.tiny_model}
    finished = _run(_environment("http://127.0.0.1:9", tmp_path, **other))
    assert finished.returncode == 2
    assert "is a dump of eswiki; LANG=ja is jawiki" in finished.stderr


def test_a_dump_that_is_not_what_it_is_given_as_is_refused_before_any_work(sample_corpus, tmp_path: Path) -> None:
    json_dump, sql_dump = sample_corpus.wikidata_dump, tmp_path / "wb_items_per_site.sql.gz"
    sql_dump.write_bytes(gzip.compress((ROOT / "tests/sample/wikidatawiki-sample-wb_items_per_site.sql").read_bytes()))
    for files, message in [
        (
            {"WIKIPEDIA_DUMP_FILE": json_dump},
            f"{json_dump}: is JSON, as Wikidata's dump is; expected a Wikipedia dump like ",
        ),
        ({"WIKIDATA_DUMP_FILE": sql_dump, "WIKIDATA_SOURCE": "json"}, f"{sql_dump}: is of the kind sql; "),
        ({"WIKIDATA_DUMP_FILE": tmp_path / "gone"}, f"{tmp_path / 'gone'}: there is no such file"),
    ]:
        finished = _run(_environment("http://127.0.0.1:9", tmp_path / "out", **files))
        assert finished.returncode == 2
        assert finished.stderr.startswith(f"error: {next(iter(files))}: {message}")
        assert len(finished.stderr.splitlines()) == 1 and not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="is a Wikipedia's dump of pages; expected a Wikidata JSON dump like"):
        check_wikidata_dump(sample_corpus.wikis["ja"].dump, "")
    for dump in (json_dump, sql_dump):
        check_wikidata_dump(dump, "")  # without WIKIDATA_SOURCE the file's own kind counts


@pytest.mark.parametrize(
    ("language", "path"),
    [
        ("zh-min-nan", "zh_min_nanwiki/20240901/zh_min_nanwiki-20240901-pages-articles-multistream.xml.bz2"),
        ("be-tarask", "be_x_oldwiki/20240901/be_x_oldwiki-20240901-pages-articles-multistream.xml.bz2"),
    ],
)
def test_wikis_named_unlike_their_language(language: str, path: str, tmp_path: Path) -> None:
    finished = _run(_environment("https://dumps.example", tmp_path, LANG=language, DRY_RUN=1))
    assert f"https://dumps.example/{path}\n" in finished.stdout
    assert f"--languages en,{language}\n" in finished.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("language", ["../../x", "en_US.UTF-8", "C", "$(touch oops)", "ja;ls", "", "ja\nen"])
def test_what_is_no_language_code_is_refused(language: str, tmp_path: Path) -> None:
    finished = _run(_environment("https://dumps.example", tmp_path, LANG=language))
    assert finished.returncode == 2
    assert finished.stderr.startswith("error: LANG: ") and len(finished.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_wrong_settings_are_wrong_use(tmp_path: Path) -> None:
    for change in ({"WIKIDATA_SOURCE": "xml"}, {"WIKIPEDIA_DUMP_DATE": "latest"}, {"NUM_WORKERS": "all"}):
        finished = _run(_environment("https://dumps.example", tmp_path, **change))
        assert finished.returncode == 2
        assert finished.stderr.startswith(f"error: {next(iter(change))} is ")


def test_help_names_every_variable() -> None:
    shown = _run(dict(os.environ), "--help").stdout
    used = set(re.findall(r"\$\{([A-Z_]+):-", SCRIPT.read_text("utf-8"))) - {
        "VIRTUAL_ENV",
        "CONDA_PREFIX",
        "PYTHONPATH",
    }
    assert len(used) > 10
    assert not [name for name in used if name not in shown]
