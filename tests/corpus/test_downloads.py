"""Downloading: what breaks off is continued, what is wrong never gets its final name, dates are never mixed."""

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
from dump_site import ARCHIVE, JSON, PAGES, TABLE, DumpSite, content_export, serve

from leia.base.errors import InputError
from leia.base.step import identify
from leia.corpus.downloads import Need
from leia.corpus.dump_parts import as_inputs
from leia.corpus.dump_sites import Export, RemoteFile, Sites, pages_of
from leia.corpus.web import WAITS

ROOT = Path(__file__).parents[2]
NAME = PAGES.rpartition("/")[2]
CONTENTS = random.Random(7).randbytes(300_000)
PARTS = {f"p{100 * part + 1}p{100 * part + 100}": random.Random(part).randbytes(200_000) for part in range(4)}
NEWER = content_export("jawiki", "2026-01-01", PARTS)
PART_PATHS = [path for path in NEWER if path.endswith(".bz2")]
TABLE_FILE = "wikidatawiki-wb_items_per_site.sql.gz"


@pytest.fixture
def site() -> Iterator[DumpSite]:
    with serve({PAGES: CONTENTS, TABLE: b"the table", JSON: b"the JSON dump"}) as site:
        yield site


@pytest.fixture
def site_of_parts() -> Iterator[DumpSite]:
    with serve({**NEWER, TABLE: b"the table"}) as site:
        yield site


def sites(site: DumpSite) -> Sites:
    return Sites(site.url, site.archive)


def fetch_pages(site: DumpSite, folder: Path, waits: Sequence[float] = WAITS) -> None:
    need = Need(pages_of("ja"), "20240901", folder)
    file = RemoteFile(PAGES[1:], len(CONTENTS), sha1(CONTENTS).hexdigest())
    need.fetch(Export("20240901", "dump_site", "sha1", (file,)), sites(site), waits)


def came(folder: Path) -> Path:
    """Where the dump of the pages is while it comes."""
    return folder / "jawiki-dump.incomplete" / NAME


def began(folder: Path, contents: bytes) -> None:
    """Put there what a run that was stopped has left."""
    came(folder).parent.mkdir(parents=True)
    came(folder).write_bytes(contents)


def downloaded(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "jawiki-dump").iterdir()}


def command(site: str, folder: Path, *options: object) -> list[str]:
    addresses = "--dump_site", site, "--archive_site", site + ARCHIVE
    folders = "--wikipedia_data_dir", folder, "--wikidata_data_dir", folder
    script = sys.executable, ROOT / "scripts/download_dumps.py", "--language", "ja"
    return [str(word) for word in (*script, *addresses, *folders, *options)]


def environment() -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    return inherited | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


def start(site: DumpSite, folder: Path) -> subprocess.Popen[str]:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "encoding": "utf-8"}
    return subprocess.Popen(command(site.url, folder), env=environment(), **pipes)


def run(site: str, folder: Path, *options: object, **settings: object) -> subprocess.CompletedProcess[str]:
    pipes = {"capture_output": True, "encoding": "utf-8", "timeout": 60}
    return subprocess.run(command(site, folder, *options), env=environment(), **pipes, **settings)


def wait_for_bytes(file: Path, size: int) -> None:
    deadline = time.monotonic() + 60
    while not file.exists() or file.stat().st_size < size:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_connection_that_breaks_off_is_continued_where_it_stopped(site: DumpSite, tmp_path: Path) -> None:
    site.break_off.add(PAGES)
    fetch_pages(site, tmp_path, waits=(0,))
    assert downloaded(tmp_path) == {NAME: CONTENTS}
    assert site.ranges(PAGES) == [None, f"bytes={len(CONTENTS) // 2}-"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["jawiki-dump", "jawiki-dump.export.json"]


def test_a_site_that_knows_no_ranges_sends_all_again(site: DumpSite, tmp_path: Path) -> None:
    site.break_off.add(PAGES)
    site.knows_ranges = False
    fetch_pages(site, tmp_path, waits=(0,))
    assert downloaded(tmp_path) == {NAME: CONTENTS}
    assert len(site.ranges(PAGES)) == 2


def test_an_export_in_parts_killed_three_times_with_a_corrupt_part_ends_verified(
    site_of_parts: DumpSite, tmp_path: Path
) -> None:
    site, folder = site_of_parts, tmp_path / "data"
    corrupt = PART_PATHS[2]
    site.damage[corrupt] = 1
    for number, path in enumerate(PART_PATHS[:3]):  # each is killed while another part comes
        site.stop_half_way[path] = Event()
        killed = start(site, folder)
        incomplete = folder / "jawiki-dump.incomplete" / path.rpartition("/")[2]
        wait_for_bytes(incomplete, 50_000)
        killed.kill()
        killed.communicate()
        site.stop_half_way.pop(path).set()
        complete = {path.rpartition("/")[2] for path in PART_PATHS[:number]}
        assert downloaded(folder).keys() == {"SHA256SUMS", *complete}
        site.files |= content_export("jawiki", "2026-02-01", PARTS)  # later runs go on with what was begun
    site.damage[corrupt] = 1  # the rest of it, too
    finished = run(site.url, folder)
    assert finished.returncode == 0, finished.stderr
    assert f"{corrupt}: expected the sha256 checksum " in finished.stderr and "fetched again" in finished.stderr
    sums = NEWER[PART_PATHS[0].rpartition("/")[0] + "/SHA256SUMS"]
    parts = {path.rpartition("/")[2]: NEWER[path] for path in PART_PATHS}
    assert downloaded(folder) == {"SHA256SUMS": sums, **parts}
    asked = {path: site.ranges(path) for path in PART_PATHS}
    assert asked[PART_PATHS[3]] == [None]
    assert all(wanted[0] is None and wanted[1] for wanted in asked.values() if len(wanted) > 1)
    assert len(asked[corrupt]) == 3 and asked[corrupt][2] is None
    assert not list(tmp_path.rglob("*incomplete"))


def test_a_part_that_is_corrupt_twice_is_told_and_what_came_is_removed(site: DumpSite, tmp_path: Path) -> None:
    site.damage[PAGES] = 2
    with pytest.raises(InputError, match=f"{PAGES}: expected the sha1 checksum .*; what came was removed, twice"):
        fetch_pages(site, tmp_path)
    assert downloaded(tmp_path) == {} and not came(tmp_path).exists()
    assert site.ranges(PAGES) == [None, None]


def test_the_archives_md5_is_checked(site: DumpSite, tmp_path: Path) -> None:
    path = f"{ARCHIVE}/download/jawiki-20230701/{NAME.replace('20240901', '20230701')}"
    site.files[path] = CONTENTS
    site.damage[path] = 2
    options = "--wikipedia_dump_date", "2023-07-01"
    refused = run(site.url, tmp_path, *options)
    assert refused.returncode == 1 and f"error: {site.url}{path}: expected the md5 checksum" in refused.stderr
    assert run(site.url, tmp_path, *options).returncode == 0
    assert downloaded(tmp_path) == {path.rpartition("/")[2]: CONTENTS}


def test_a_download_that_was_stopped_before_its_check_is_checked(site: DumpSite, tmp_path: Path) -> None:
    began(tmp_path, CONTENTS)
    fetch_pages(site, tmp_path)
    assert downloaded(tmp_path) == {NAME: CONTENTS}


def test_of_two_at_once_the_second_waits_and_downloads_nothing(site: DumpSite, tmp_path: Path) -> None:
    site.stop_half_way[PAGES] = Event()
    first = start(site, tmp_path)
    wait_for_bytes(came(tmp_path), len(CONTENTS) // 4)
    second = start(site, tmp_path)
    told = [second.stdout.readline() for _ in range(2)][-1]
    assert told.startswith("waiting for another download: ") and f"process {first.pid} on" in told
    site.stop_half_way[PAGES].set()
    for process in (first, second):
        errors = process.communicate(timeout=60)[1]
        assert process.returncode == 0, errors
    assert site.ranges(PAGES) == [None]
    assert downloaded(tmp_path) == {NAME: CONTENTS}


def test_a_site_that_is_busy_is_asked_again(site: DumpSite, tmp_path: Path) -> None:
    site.refuse[PAGES] = [429, 503]
    fetch_pages(site, tmp_path, waits=(0, 0))
    assert site.ranges(PAGES) == [None] * 3
    assert downloaded(tmp_path) == {NAME: CONTENTS}


def test_a_site_that_stays_busy_is_given_up_and_what_came_is_kept(site: DumpSite, tmp_path: Path) -> None:
    began(tmp_path, CONTENTS[:1000])
    site.refuse[PAGES] = [503] * 3
    with pytest.raises(InputError, match=r"the site answers 503 .*; run the same command later, it continues"):
        fetch_pages(site, tmp_path, waits=(0, 0))
    assert came(tmp_path).read_bytes() == CONTENTS[:1000]


def test_what_the_site_forbids_is_not_asked_again(site: DumpSite, tmp_path: Path) -> None:
    site.refuse[PAGES] = [403]
    with pytest.raises(InputError, match="the site answers 403 Forbidden"):
        fetch_pages(site, tmp_path)
    assert site.ranges(PAGES) == [None]


def test_an_export_that_left_the_site_half_way_is_told(site: DumpSite, tmp_path: Path) -> None:
    site.files.clear()
    with pytest.raises(InputError, match=rf"{PAGES}: not there, but .*export\.json names it: .*/jawiki-dump\*$"):
        fetch_pages(site, tmp_path)


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "no address"])
def test_a_site_that_cannot_be_reached_is_one_line(address: str, tmp_path: Path) -> None:
    finished = run(address, tmp_path / "new")
    assert finished.returncode == 1
    assert len(finished.stderr.splitlines()) == 1 and finished.stderr.startswith(f"error: {address}/other/")
    assert "check the network and the address of the dump site" in finished.stderr
    assert not list(tmp_path.iterdir())


def test_nothing_is_begun_where_one_of_the_two_dumps_is_not_found(site: DumpSite, tmp_path: Path) -> None:
    refused = run(site.url, tmp_path / "new", "--wikidata_dump_date", "20230701")
    assert refused.returncode == 1 and len(refused.stderr.splitlines()) == 1
    assert refused.stderr.startswith("error: wikidatawiki: expected a complete export of 2023-07-01 at ")
    assert not list(tmp_path.iterdir()) and not site.ranges(PAGES)


def test_a_disk_that_is_full_is_told_and_what_came_is_kept(site: DumpSite, tmp_path: Path) -> None:
    limit = len(CONTENTS) // 2
    finished = run(site.url, tmp_path, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    errors = [line for line in finished.stderr.splitlines() if line.startswith("error: ")]
    assert finished.returncode == 1
    assert len(errors) == 1 and f"{came(tmp_path)}: File too large" in errors[0]
    assert downloaded(tmp_path) == {}
    assert run(site.url, tmp_path).returncode == 0
    assert downloaded(tmp_path) == {NAME: CONTENTS}


def test_dates_are_not_mixed(site_of_parts: DumpSite, tmp_path: Path) -> None:
    assert run(site_of_parts.url, tmp_path).returncode == 0
    before = downloaded(tmp_path)
    site_of_parts.files |= content_export("jawiki", "2026-02-01", {"p1p5": b"newer"})
    refused = run(site_of_parts.url, tmp_path, "--wikipedia_dump_date", "20260201")
    folder = tmp_path / "jawiki-dump"
    assert (refused.returncode, refused.stderr) == (1, (
        f"error: {folder}: expected the export of 2026-02-01, found that of 2026-01-01; give another date another "
        f"folder, or remove {folder}*\n"
    ))  # fmt: skip
    foreign = folder / "jawiki-2026-02-01-p1p5.xml.bz2"
    foreign.write_bytes(b"newer")
    refused = run(site_of_parts.url, tmp_path)
    assert refused.returncode == 1 and f"alone, found {foreign.name}; move it to another folder\n" in refused.stderr
    foreign.unlink()
    (tmp_path / "jawiki-dump.export.json").unlink()
    refused = run(site_of_parts.url, tmp_path)
    assert refused.returncode == 1 and f"error: {folder}: expected jawiki-dump.export.json beside it" in refused.stderr
    (tmp_path / "jawiki-dump.export.json").write_text('{"date": 2')
    refused = run(site_of_parts.url, tmp_path)
    assert refused.returncode == 1 and f"error: {folder}.export.json: is damaged (" in refused.stderr
    assert downloaded(tmp_path) == before
    assert len(refused.stderr.splitlines()) == 1


def test_an_export_that_another_run_has_begun_meanwhile_is_finished_instead(
    site_of_parts: DumpSite, tmp_path: Path
) -> None:
    need = Need(pages_of("ja"), None, tmp_path)
    begun = need.find(sites(site_of_parts))
    site_of_parts.files |= content_export("jawiki", "2026-02-01", {"p1p5": b"newer"})
    newer = need.find(sites(site_of_parts))
    assert newer.date > begun.date
    need.fetch(begun, sites(site_of_parts))
    before = downloaded(tmp_path)
    need.fetch(newer, sites(site_of_parts))
    assert downloaded(tmp_path) == before


def test_another_mirror_can_go_on_with_the_same_export(site_of_parts: DumpSite, tmp_path: Path) -> None:
    need = Need(pages_of("ja"), None, tmp_path)
    site_of_parts.refuse[PART_PATHS[1]] = [403]
    with pytest.raises(InputError):
        need.fetch(need.find(sites(site_of_parts)), sites(site_of_parts))
    with serve(NEWER) as mirror:
        need.fetch(need.find(sites(mirror)), sites(mirror))
        assert [path for path, _ in mirror.requests] == PART_PATHS[1:]
    assert len(downloaded(tmp_path)) == 5


def test_a_used_up_dump_is_not_downloaded_while_all_that_was_made_from_it_is_there(
    site_of_parts: DumpSite, tmp_path: Path
) -> None:
    file, text, folder = tmp_path / "redirects.tsv", tmp_path / "text", tmp_path / "jawiki-dump"
    used_by = "--wikipedia_used_by", file, "--wikipedia_used_by", text
    assert run(site_of_parts.url, tmp_path, *used_by).returncode == 0
    manifest = json.dumps({"step": "any", "inputs": [identify(given) for given in as_inputs([folder])], "options": {}})
    file.touch()
    text.mkdir()
    (tmp_path / "redirects.tsv.manifest.json").write_text(manifest)
    (text / "manifest.json").write_text(manifest)
    for path in folder.iterdir():
        path.unlink()
    nowhere = "http://127.0.0.1:9"
    for _ in range(2):  # the parts are gone, then the folder
        finished = run(nowhere, tmp_path, *used_by)
        assert finished.returncode == 0, finished.stderr
        assert f"complete already: all that is made from {folder}\n" in finished.stdout
        if folder.exists():
            folder.rmdir()
    record = Path(f"{folder}.export.json")
    recorded = record.read_text()
    record.write_text(recorded.replace('"size": 200000', '"size": 200001', 1))  # of another export than the outputs
    assert run(nowhere, tmp_path, *used_by).returncode == 1
    record.write_text(recorded)
    file.unlink()
    assert run(nowhere, tmp_path, *used_by).returncode == 1
    assert run(site_of_parts.url, tmp_path, *used_by).returncode == 0
    assert downloaded(tmp_path).keys() == {"SHA256SUMS", *(path.rpartition("/")[2] for path in PART_PATHS)}


def test_a_run_with_nothing_to_do_asks_the_site_nothing(site_of_parts: DumpSite, tmp_path: Path) -> None:
    assert run(site_of_parts.url, tmp_path).returncode == 0
    site_of_parts.requests.clear()
    site_of_parts.heads.clear()
    finished = run(site_of_parts.url, tmp_path)
    assert finished.stdout == f"complete already: {tmp_path}/jawiki-dump\ncomplete already: {tmp_path}/{TABLE_FILE}\n"
    assert not site_of_parts.requests and not site_of_parts.heads
    (tmp_path / "jawiki-dump" / PART_PATHS[1].rpartition("/")[2]).write_bytes(b"cut off")
    assert run(site_of_parts.url, tmp_path).returncode == 0
    assert [path for path, _ in site_of_parts.requests] == [PART_PATHS[1]]


def test_a_dry_run_lists_each_file_with_its_size_and_fetches_nothing(site_of_parts: DumpSite, tmp_path: Path) -> None:
    planned = run(site_of_parts.url, tmp_path / "new", "--dry_run")
    folder, table = tmp_path / "new/jawiki-dump", tmp_path / "new" / TABLE_FILE
    assert planned.stdout.splitlines() == [
        f"{folder}: export of 2026-01-01, 4 files, 800,000 bytes to come",
        *(
            f"would be downloaded: {site_of_parts.url}{path} to {folder}/{path.rpartition('/')[2]}, 200,000 bytes"
            for path in PART_PATHS
        ),
        f"{table}: export of 2024-09-01, 1 file, 9 bytes to come",
        f"would be downloaded: {site_of_parts.url}{TABLE} to {table}, 9 bytes",
        "in all: 5 files, 800,009 bytes",
    ]
    assert not {*PART_PATHS, TABLE} & {path for path, _ in site_of_parts.requests}
    assert not list(tmp_path.iterdir())


def test_print_names_asks_the_site_nothing(tmp_path: Path) -> None:
    names = run("http://127.0.0.1:9", tmp_path, "--wikidata_source", "json", "--print_names")
    assert names.stdout == "jawiki jawiki-dump wikidata-all.json.bz2\n"


def test_a_file_that_is_not_the_dump_that_it_is_given_as_is_wrong_use(sample_corpus, tmp_path: Path) -> None:
    json_dump, table, gone = sample_corpus.wikidata_dump, tmp_path / "table.sql.gz", tmp_path / "gone"
    table.write_bytes(compress((ROOT / "tests/sample/wikidatawiki-sample-wb_items_per_site.sql").read_bytes()))
    spanish, japanese = sample_corpus.wikis["es"].dump, sample_corpus.wikis["ja"].dump
    in_folder = tmp_path / "dumps" / spanish.name
    in_folder.parent.mkdir()
    in_folder.symlink_to(spanish)
    cases = [
        (("--wikipedia_dump_file", json_dump), json_dump, "expected a Wikipedia dump like "),
        (("--wikipedia_dump_file", spanish), spanish, "expected a dump of jawiki, found one of eswiki"),
        (("--wikipedia_dump_file", in_folder.parent), in_folder, "expected a dump of jawiki, found one of eswiki"),
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
        assert accepted.stdout.startswith(f"complete already: {japanese}\ncomplete already: {dump}\n")
