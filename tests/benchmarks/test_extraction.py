"""The benchmark of the extraction times the whole of both ways, and projects from what it measured."""

import sys
from pathlib import Path

import pytest

from benchmarks.extraction import Extraction, Round, time_extraction
from benchmarks.measure import Measurement, measure

DUMP = Path(__file__).parents[1] / "sample" / "jawiki-sample-pages-articles.xml"


def test_both_ways_read_all_of_the_dump_in_every_round_and_ours_four_times_as_much(tmp_path, monkeypatch):
    """Claim: what is compared is from the dump to the preprocessed articles, made again in each round."""
    commands = []

    def record(command):
        commands.append([Path(str(command[1])).name, *command[2:]])
        return Measurement(1.0, 10**6)

    monkeypatch.setattr("benchmarks.extraction.measure", record)
    extraction = time_extraction(DUMP, tmp_path / "ids.tsv", tmp_path / "work", scale=2, rounds=2)
    in_a_round = ["run_wikiextractor.py", "preprocess_wikipedia.py", "extract_articles.py"]
    names = [command[0] for command in commands]
    assert names == ["extract_wikipedia_redirects.py", *2 * in_a_round, "extract_articles.py"]
    assert all(command[-1] == "--overwrite" for command in commands[1:])
    assert commands[1][2] == commands[3][2] == tmp_path / "work" / "pages.xml.bz2" != commands[-1][2]
    assert extraction.larger_megabytes == pytest.approx(4 * extraction.megabytes, rel=0.2)
    assert 3 < extraction.xml_per_byte < 6


def test_the_ratio_is_the_median_of_rounds_and_hours_grow_with_bytes_of_xml():
    """Claim: one slow round decides nothing, and the projection is the measured rate times the bytes."""

    def a_round(first, second, own):
        published = [Measurement(first, 10**8, 8.0), Measurement(second, 3 * 10**8, 4.0)]
        return Round(published, Measurement(own, 2 * 10**8, 3.0))

    rounds = [a_round(50, 10, 10), a_round(200, 10, 10), a_round(40, 10, 10)]
    extraction = Extraction(100.0, rounds, 400.0, Measurement(40.0, 10**8), 4.0)
    text = "\n".join(extraction.lines(2))
    assert "60.00 s    1.7 MB/s, CPU time 12.00 s, peak memory 300 MB" in text
    assert "10.00 s   10.0 MB/s, CPU time 3.00 s, peak memory 200 MB" in text
    assert "6.0 times as fast (5.0 to 21.0 in single rounds), by CPU time 4.0 times" in text
    assert "on 4.0 times the input extract_articles takes 4.0 times the time, peak memory 100 MB" in text
    assert "Japanese, 4.5 GB of bzip2, 2 cores: extract_articles 0.5 h, the published way 3.0 h" in text
    assert "English, 25.0 GB of bzip2, 2 cores: extract_articles 2.8 h, the published way 16.7 h" in text


def test_cpu_time_is_that_of_the_command_and_of_its_processes():
    """Claim: a command that works in a process of its own is charged for it, one that sleeps is not."""
    work = "import time\nwhile time.process_time() < 0.5: pass"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {work!r}])"
    assert measure([sys.executable, "-c", child]).cpu_seconds > 0.5
    assert measure([sys.executable, "-c", "import time; time.sleep(0.5)"]).cpu_seconds < 0.4
