"""WikiExtractor, supervised: its own output or none, no waiting for the dead, nothing left over when killed."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from leia.base.errors import InputError
from leia.base.outputs import NewFolder
from leia.base.step import Tally, open_step
from leia.corpus.wikiextractor import OUTPUT_FILES, extract_articles

ROOT = Path(__file__).parents[2]


def extract(dump: Path, output: Path, **options: Any) -> Tally:
    """What scripts/run_wikiextractor.py does, and the tally of the articles."""
    with open_step("run_wikiextractor", [dump], NewFolder(output, OUTPUT_FILES)) as step:
        extract_articles([dump], step.target, counts=step, **options)
    return step.count("articles")


def test_output_is_that_of_the_command_line(sample_corpus, tmp_path: Path) -> None:
    wiki = sample_corpus.wikis["ja"]
    tally = extract(wiki.dump, tmp_path / "text", processes=2)
    ours = {path.name: path.read_bytes() for path in (tmp_path / "text").rglob("wiki_*")}
    assert ours == {path.name: path.read_bytes() for path in wiki.text.rglob("wiki_*")}
    assert tally.kept == sum(text.count(b"<doc id=") for text in ours.values()) > 40


def test_a_dump_in_parts_gives_the_articles_of_the_whole_one(sample_corpus, tmp_path: Path) -> None:
    text = (ROOT / "tests/sample/jawiki-sample-pages-articles.xml").read_text("utf-8")
    head, *pages = text.removesuffix("</mediawiki>\n").split("  <page>\n")
    parts = []
    for number, some in enumerate((pages[:9], pages[9:10], pages[10:])):
        parts.append(tmp_path / f"part-{number}.xml")
        parts[-1].write_text("  <page>\n".join([head, *some]) + "</mediawiki>\n", encoding="utf-8")
    with open_step("run_wikiextractor", parts, NewFolder(tmp_path / "text", OUTPUT_FILES)) as step:
        extract_articles(parts, step.target, processes=1, counts=step)
    assert documents(tmp_path / "text") == documents(sample_corpus.wikis["ja"].text)


def test_a_dump_that_breaks_off_is_refused_or_used_up_to_the_break(sample_corpus, tmp_path: Path) -> None:
    dump, output = tmp_path / "jawiki.xml.bz2", tmp_path / "text"
    dump.write_bytes(sample_corpus.wikis["ja"].dump.read_bytes()[:-600])
    with pytest.raises(
        InputError, match=r"breaks off or is corrupt near byte [\d,]+ .*complete pages is '.+'; download"
    ):
        extract(dump, output, processes=1)
    assert [path.name for path in tmp_path.iterdir()] == [dump.name]
    tally = extract(dump, output, processes=1, allow_truncated=True)
    whole, before_the_break = documents(sample_corpus.wikis["ja"].text), documents(output)
    assert before_the_break == whole[: len(before_the_break)] and 20 < len(before_the_break) < len(whole)
    assert tally.kept == len(before_the_break) and next(iter(tally.dropped)).startswith("all after the break")


def documents(folder: Path) -> list[str]:
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(folder.rglob("wiki_*")))
    return text.split("<doc ")[1:]


def test_a_plain_dump_without_its_end_is_refused(tmp_path: Path) -> None:
    dump = tmp_path / "jawiki.xml"
    dump.write_bytes((ROOT / "tests/sample/jawiki-sample-pages-articles.xml").read_bytes()[:-2000])
    with pytest.raises(InputError, match="ends without </mediawiki>"):
        extract(dump, tmp_path / "text", processes=1)


def test_another_file_is_refused_at_once(sample_corpus, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected a Wikipedia dump like .* found JSON, as Wikidata's dump is"):
        extract(sample_corpus.wikidata_dump, tmp_path / "text", processes=1)


@pytest.mark.parametrize(
    "halves",
    ["&amp;#xD83D;", "&amp;#55357;&amp;#56832;", "&lt;nowiki&gt;&amp;#xdfff;&lt;/nowiki&gt;", "&amp;amp;#55296;"],
)
def test_half_of_a_surrogate_pair_costs_one_character_and_no_article(halves: str, tmp_path: Path) -> None:
    dump, output = tmp_path / "jawiki.xml", tmp_path / "text"
    text = (ROOT / "tests/sample/jawiki-sample-pages-articles.xml").read_text(encoding="utf-8")
    before, begin, after = text.partition('xml:space="preserve">')
    dump.write_text(f"{before}{begin}{halves} &amp;#x1F600;{after}", encoding="utf-8")
    assert extract(dump, output, processes=1).kept > 40
    first = documents(output)[0]
    assert "\U0001f600" in first and ("\ufffd" in first or "&#xFFFD;" in first)


def test_killed_it_leaves_no_process_behind(tmp_path: Path, start_extraction) -> None:
    process = start_extraction(_large_dump(tmp_path), tmp_path / "text")
    while len(descendants := _processes_of_wikiextractor(process.pid)) < 4:  # itself, its writer and two workers
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 30
    while any(map(_is_alive, descendants)):
        assert time.monotonic() < deadline, "processes of the killed step live on"
        time.sleep(0.01)
    assert not (tmp_path / "text").exists()


def test_a_worker_that_is_killed_ends_the_step(tmp_path: Path, start_extraction) -> None:
    process = start_extraction(_large_dump(tmp_path), tmp_path / "text")
    while len(descendants := _processes_of_wikiextractor(process.pid)) < 4:
        assert process.poll() is None
        time.sleep(0.01)
    subprocess.run(["kill", "-9", str(descendants[-1])], check=True)
    assert "a process of WikiExtractor died (killed" in process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert not (tmp_path / "text").exists()


@pytest.fixture
def start_extraction() -> Callable[..., subprocess.Popen[str]]:
    processes = []

    def start(dump: Path, output: Path) -> subprocess.Popen[str]:
        command = [sys.executable, ROOT / "scripts/run_wikiextractor.py", "--dump_file", dump, "--output_dir", output]
        environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
        process = subprocess.Popen([*command, "--processes", "2"], stderr=subprocess.PIPE, text=True, env=environment)
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()
        process.stderr.close()  # not read to its end: a process that lives on would hold it open


def _large_dump(folder: Path) -> Path:
    """A dump that takes WikiExtractor long enough to be disturbed: the sample's pages fifty times over."""
    head, *pages = (ROOT / "tests/sample/jawiki-sample-pages-articles.xml").read_text("utf-8").split("  <page>\n")
    pages[-1], foot = pages[-1].split("</mediawiki>")
    dump = folder / "jawiki.xml"
    dump.write_text("  <page>\n".join([head, *(pages * 50)]) + f"</mediawiki>{foot}", encoding="utf-8")
    return dump


def _processes_of_wikiextractor(pid: int) -> list[int]:
    """Ids of the processes under `pid` that run WikiExtractor, in the order in which they were started."""
    try:
        processes = psutil.Process(pid).children(recursive=True)
        return sorted(process.pid for process in processes if "wikiextractor" in " ".join(process.cmdline()[:2]))
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return []


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
