"""Downloading: what breaks off is continued, what is wrong never gets its final name, each problem is one line."""

import json
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from gzip import compress
from hashlib import sha1
from pathlib import Path
from threading import Event

import pytest
from conftest import run_here
from dump_site import JSON, PAGES, TABLE, DumpSite, serve

from leia.base.errors import InputError, UsageError
from leia.corpus.downloads import WAITS, DumpFile, Need, ask_checksum, fetch, pages_dump, wikidata_dump

ROOT = Path(__file__).parents[2]
NAME = PAGES.rpartition("/")[2]
CONTENTS = random.Random(7).randbytes(300_000)


@pytest.fixture
def site() -> Iterator[DumpSite]:
    with serve({PAGES: CONTENTS, TABLE: b"the table", JSON: b"the JSON dump"}) as site:
        yield site


def fetch_pages(site: DumpSite, folder: Path, waits: Sequence[float] = WAITS) -> None:
    fetch(pages_dump(site.url, "ja", "20240901"), sha1(CONTENTS).hexdigest(), folder, waits)


def command(site: str, folder: Path, *options: object) -> list[str]:
    dates = "--wikipedia_dump_date", 20240901, "--wikidata_dump_date", 20240901, "--dump_site", site
    folders = "--wikipedia_data_dir", folder, "--wikidata_data_dir", folder
    script = sys.executable, ROOT / "scripts/download_dumps.py", "--language", "ja"
    return [str(word) for word in (*script, *dates, *folders, *options)]


def environment() -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    return inherited | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


def start(site: DumpSite, folder: Path) -> subprocess.Popen[str]:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "encoding": "utf-8"}
    return subprocess.Popen(command(site.url, folder), env=environment(), **pipes)


def run(site: str, folder: Path, *options: object, **settings: object) -> subprocess.CompletedProcess[str]:
    pipes = {"capture_output": True, "encoding": "utf-8", "timeout": 60}
    return subprocess.run(command(site, folder, *options), env=environment(), **pipes, **settings)


def wait_for_half(folder: Path) -> None:
    incomplete = folder / "incomplete" / NAME
    deadline = time.monotonic() + 60
    while not incomplete.exists() or incomplete.stat().st_size < len(CONTENTS) // 4:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("dump", "folder", "name"),
    [
        (pages_dump("https://s/", "ja", "20240901"), "jawiki/20240901",
         "jawiki-20240901-pages-articles-multistream.xml.bz2"),
        (pages_dump("https://s", "zh-min-nan", "20240901"), "zh_min_nanwiki/20240901",
         "zh_min_nanwiki-20240901-pages-articles-multistream.xml.bz2"),
        (pages_dump("https://s", "be-tarask", "20240901"), "be_x_oldwiki/20240901",
         "be_x_oldwiki-20240901-pages-articles-multistream.xml.bz2"),
        (wikidata_dump("https://s", "sql", None), "wikidatawiki/20230701",
         "wikidatawiki-20230701-wb_items_per_site.sql.gz"),
        (wikidata_dump("https://s", "json", None), "wikidatawiki/entities/20230703",
         "wikidata-20230703-all.json.bz2"),
    ],
)  # fmt: skip
def test_where_a_dump_lies_on_the_site(dump: DumpFile, folder: str, name: str) -> None:
    assert dump == DumpFile(f"https://s/{folder}", name)
    assert dump.sums == f"https://s/{folder}/{'-'.join(name.split('-')[:2])}-sha1sums.txt"


def test_what_cannot_be_a_date_or_a_language_is_wrong_use() -> None:
    for make in (
        lambda: pages_dump("https://s", "ja", "latest"),
        lambda: wikidata_dump("https://s", "sql", "2024-09-01"),
        lambda: pages_dump("https://s", "../../x", "20240901"),
    ):
        with pytest.raises(UsageError):
            make()


def test_a_connection_that_breaks_off_is_continued_where_it_stopped(site: DumpSite, tmp_path: Path) -> None:
    site.break_off.add(PAGES)
    fetch_pages(site, tmp_path, waits=(0,))
    assert (tmp_path / NAME).read_bytes() == CONTENTS
    assert site.ranges(PAGES) == [None, f"bytes={len(CONTENTS) // 2}-"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [NAME]


def test_a_site_that_knows_no_ranges_sends_all_again(site: DumpSite, tmp_path: Path) -> None:
    site.break_off.add(PAGES)
    site.knows_ranges = False
    fetch_pages(site, tmp_path, waits=(0,))
    assert (tmp_path / NAME).read_bytes() == CONTENTS


def test_a_killed_download_is_continued_by_the_next_run(site: DumpSite, tmp_path: Path) -> None:
    site.stop_half_way[PAGES] = Event()
    killed = start(site, tmp_path)
    wait_for_half(tmp_path)
    killed.kill()
    killed.communicate()
    assert not (tmp_path / NAME).exists()
    came = (tmp_path / "incomplete" / NAME).stat().st_size
    site.stop_half_way.pop(PAGES).set()
    finished = run(site.url, tmp_path)
    assert finished.returncode == 0, finished.stderr
    assert site.ranges(PAGES) == [None, f"bytes={came}-"]
    assert (tmp_path / NAME).read_bytes() == CONTENTS
    assert (tmp_path / TABLE.rpartition("/")[2]).read_bytes() == b"the table"


def test_a_download_that_was_stopped_before_its_check_is_checked(site: DumpSite, tmp_path: Path) -> None:
    (tmp_path / "incomplete").mkdir()
    (tmp_path / "incomplete" / NAME).write_bytes(CONTENTS)
    fetch_pages(site, tmp_path)
    assert (tmp_path / NAME).read_bytes() == CONTENTS


def test_of_two_at_once_the_second_waits_and_downloads_nothing(site: DumpSite, tmp_path: Path) -> None:
    site.stop_half_way[PAGES] = Event()
    first = start(site, tmp_path)
    wait_for_half(tmp_path)
    second = start(site, tmp_path)
    told = second.stdout.readline()
    assert told.startswith("waiting for another download: ") and f"process {first.pid} on" in told
    site.stop_half_way[PAGES].set()
    for process in (first, second):
        errors = process.communicate(timeout=60)[1]
        assert process.returncode == 0, errors
    assert site.ranges(PAGES) == [None]
    assert (tmp_path / NAME).read_bytes() == CONTENTS


def test_a_wrong_checksum_is_told_and_what_came_is_removed(site: DumpSite, tmp_path: Path) -> None:
    site.files[PAGES] = CONTENTS[:-1] + b"x"
    with pytest.raises(InputError, match=f"{PAGES}: expected the SHA1 checksum .*, found .*; what came was removed"):
        fetch_pages(site, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_site_that_is_busy_is_asked_again(site: DumpSite, tmp_path: Path) -> None:
    site.refuse[PAGES] = [429, 503]
    fetch_pages(site, tmp_path, waits=(0, 0))
    assert site.ranges(PAGES) == [None] * 3
    assert (tmp_path / NAME).read_bytes() == CONTENTS


def test_a_site_that_stays_busy_is_given_up_and_what_came_is_kept(site: DumpSite, tmp_path: Path) -> None:
    (tmp_path / "incomplete").mkdir()
    (tmp_path / "incomplete" / NAME).write_bytes(CONTENTS[:1000])
    site.refuse[PAGES] = [503] * 3
    with pytest.raises(InputError, match=r"the site answers 503 .*; run the same command later, it continues"):
        fetch_pages(site, tmp_path, waits=(0, 0))
    assert (tmp_path / "incomplete" / NAME).read_bytes() == CONTENTS[:1000]


def test_what_the_site_forbids_is_not_asked_again(site: DumpSite, tmp_path: Path) -> None:
    site.refuse[PAGES] = [403]
    with pytest.raises(InputError, match="the site answers 403 Forbidden"):
        fetch_pages(site, tmp_path)
    assert site.ranges(PAGES) == [None]


def test_a_date_that_left_the_site_is_told(site: DumpSite) -> None:
    message = f"sha1sums.txt: not there; .*: take a date that is listed at {site.url}/jawiki/$"
    with pytest.raises(InputError, match=message):
        ask_checksum(pages_dump(site.url, "ja", "20230701"))


def test_a_dump_that_is_not_finished_is_told(site: DumpSite) -> None:
    site.files["/jawiki/20240901/jawiki-20240901-sha1sums.txt"] = b"0123  another-file\n"
    with pytest.raises(InputError, match=f"sha1sums.txt: does not list {NAME}; that dump is not finished"):
        ask_checksum(pages_dump(site.url, "ja", "20240901"))


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "no address"])
def test_a_site_that_cannot_be_reached_is_one_line(address: str, tmp_path: Path) -> None:
    finished = run(address, tmp_path / "new")
    assert finished.returncode == 1
    assert len(finished.stderr.splitlines()) == 1 and finished.stderr.startswith(f"error: {address}/jawiki/")
    assert "check the network and the address of the dump site" in finished.stderr
    assert not list(tmp_path.iterdir())


def test_a_disk_that_is_full_is_told_and_what_came_is_kept(site: DumpSite, tmp_path: Path) -> None:
    limit = len(CONTENTS) // 2
    finished = run(site.url, tmp_path, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    errors = [line for line in finished.stderr.splitlines() if line.startswith("error: ")]
    assert finished.returncode == 1
    assert len(errors) == 1 and f"{tmp_path}/incomplete/{NAME}: File too large" in errors[0]
    assert not (tmp_path / NAME).exists()
    assert run(site.url, tmp_path).returncode == 0
    assert (tmp_path / NAME).read_bytes() == CONTENTS


def test_a_used_up_dump_is_not_downloaded_while_all_that_was_made_from_it_is_there(tmp_path: Path) -> None:
    file, folder = tmp_path / "redirects.tsv", tmp_path / "text"
    need = Need(DumpFile("https://s", NAME), tmp_path, None, (file, folder))
    manifest = json.dumps({"step": "any", "inputs": [{"name": NAME, "bytes": 7}], "options": {}})
    file.touch()
    (tmp_path / "redirects.tsv.manifest.json").write_text(manifest)
    assert not need.is_used_up()
    folder.mkdir()
    assert not need.is_used_up()
    (folder / "manifest.json").write_text(manifest)
    assert need.is_used_up()
    assert not Need(DumpFile("https://s", f"newer-{NAME}"), tmp_path, None, (file, folder)).is_used_up()
    assert not Need(DumpFile("https://s", NAME), tmp_path, None, ()).is_used_up()
    file.unlink()
    assert not need.is_used_up()


def test_dry_run_and_print_names_ask_the_site_nothing(site: DumpSite, tmp_path: Path) -> None:
    planned = run(site.url, tmp_path, "--dry_run").stdout.splitlines()
    assert planned == [
        f"would be downloaded: {site.url}{path} to {tmp_path}/{path.rpartition('/')[2]}" for path in (PAGES, TABLE)
    ]
    names = run(site.url, tmp_path, "--wikidata_source", "json", "--wikidata_dump_date", "20240902", "--print_names")
    assert names.stdout == f"jawiki {NAME} {JSON.rpartition('/')[2]}\n"
    assert not site.requests and not list(tmp_path.iterdir())


def test_a_file_that_is_not_the_dump_that_it_is_given_as_is_wrong_use(sample_corpus, tmp_path: Path) -> None:
    json_dump, table, gone = sample_corpus.wikidata_dump, tmp_path / "table.sql.gz", tmp_path / "gone"
    table.write_bytes(compress((ROOT / "tests/sample/wikidatawiki-sample-wb_items_per_site.sql").read_bytes()))
    spanish, japanese = sample_corpus.wikis["es"].dump, sample_corpus.wikis["ja"].dump
    cases = [
        (("--wikipedia_dump_file", json_dump), json_dump, "expected a Wikipedia dump like "),
        (("--wikipedia_dump_file", spanish), spanish, "expected a dump of jawiki, found one of eswiki"),
        (("--wikidata_dump_file", table, "--wikidata_source", "json"), table, "expected a dump of the kind json"),
        (("--wikidata_dump_file", japanese), japanese, "expected a Wikidata JSON dump like"),
        (("--wikidata_dump_file", gone), gone, "there is no such file"),
    ]
    folders = "--wikipedia_data_dir", tmp_path / "out", "--wikidata_data_dir", tmp_path / "out"
    for options, path, message in cases:
        refused = run_here("download_dumps.py", "--language", "ja", *folders, "--dry_run", *options)
        assert refused.exit_code == 2
        assert refused.stderr.startswith(f"error: {path}: ") and message in refused.stderr
        assert len(refused.stderr.splitlines()) == 1 and not (tmp_path / "out").exists()
    for dump in (json_dump, table):  # without --wikidata_source the file's own kind counts
        accepted = run_here("download_dumps.py", "--language", "ja", *folders, "--dry_run",
            "--wikidata_dump_file", dump, "--wikipedia_dump_file", japanese)  # fmt: skip
        assert accepted.stdout == f"complete already: {japanese}\ncomplete already: {dump}\n"
