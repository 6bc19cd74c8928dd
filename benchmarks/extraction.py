"""Our own extraction beside the published way, WikiExtractor and preprocess_wikipedia.py: time, memory, hours."""

import bz2
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.inputs import Sized, read_dump, repeat_pages
from benchmarks.measure import Measurement, measure, script
from leia.base.pool import available_cores

_DUMPS = {"Japanese": 4.5e9, "English": 25e9}
"""Bytes of the bzip2 dumps of two Wikipedias."""

_TIMES_AS_LONG = 4


@dataclass(frozen=True, slots=True)
class Round:
    """Both ways on the same dump, one after the other."""

    published: Sequence[Measurement]
    own: Measurement

    @property
    def published_seconds(self) -> float:
        return sum(step.seconds for step in self.published)

    @property
    def published_cpu_seconds(self) -> float:
        return sum(step.cpu_seconds for step in self.published)

    @property
    def ratio(self) -> float:
        return self.published_seconds / self.own.seconds


@dataclass(frozen=True, slots=True)
class Extraction:
    """The rounds on a dump of `megabytes` of XML, our own way on a `larger` one, and how far bzip2 compresses it."""

    megabytes: float
    rounds: Sequence[Round]
    larger_megabytes: float
    larger: Measurement
    xml_per_byte: float

    def lines(self, cores: int) -> list[str]:
        """What was measured, and what it would mean for the dumps of two Wikipedias."""
        published = median(each.published_seconds for each in self.rounds)
        published_cpu = median(each.published_cpu_seconds for each in self.rounds)
        own = median(each.own.seconds for each in self.rounds)
        own_cpu = median(each.own.cpu_seconds for each in self.rounds)
        ratios = sorted(each.ratio for each in self.rounds)
        published_peak = max(step.peak_bytes for each in self.rounds for step in each.published)
        own_peak = max(each.own.peak_bytes for each in self.rounds)
        return [
            f"extraction of {self.megabytes:,.1f} MB of XML, {cores} cores, median of {len(self.rounds)}",
            self._line("run_wikiextractor, preprocess_wikipedia", published, published_cpu, published_peak),
            self._line("extract_articles", own, own_cpu, own_peak),
            f"  {median(ratios):.1f} times as fast ({ratios[0]:.1f} to {ratios[-1]:.1f} in single rounds), by CPU time "
            f"{published_cpu / own_cpu:.1f} times",
            f"  on {self.larger_megabytes / self.megabytes:.1f} times the input extract_articles takes "
            f"{self.larger.seconds / own:.1f} times the time, peak memory {self.larger.peak_bytes / 1e6:,.0f} MB",
            f"projected, not measured: the time grows with the bytes of XML, from the rates above; a byte of bzip2 is "
            f"{self.xml_per_byte:.2f} of XML, as in this dump",
            *(
                f"  {name}, {size / 1e9:.1f} GB of bzip2, {cores} cores: extract_articles "
                f"{self._hours(size, own):.1f} h, the published way {self._hours(size, published):.1f} h"
                for name, size in _DUMPS.items()
            ),
        ]

    def _line(self, name: str, seconds: float, cpu_seconds: float, peak_bytes: int) -> str:
        rate, peak = self.megabytes / seconds, peak_bytes / 1e6
        return (
            f"  {name:40} {seconds:8.2f} s {rate:6.1f} MB/s, CPU time {cpu_seconds:.2f} s, peak memory {peak:,.0f} MB"
        )

    def _hours(self, compressed: float, seconds: float) -> float:
        return compressed * self.xml_per_byte / 1e6 / self.megabytes * seconds / 3600


def time_extraction(pages: Path, ids: Path, folder: Path, scale: int, rounds: int) -> Extraction:
    """Time both ways in turn on the dump `pages`, repeated `scale` times, and our own on four times as much."""
    folder.mkdir(parents=True)
    text = read_dump(pages)
    dump = repeat_pages(text, folder / "pages.xml.bz2", scale)
    larger = repeat_pages(text, folder / "larger.xml.bz2", _TIMES_AS_LONG * scale)
    redirects = folder / "redirects.tsv"
    measure(script("extract_wikipedia_redirects.py", dump_file=dump.path, output_file=redirects))
    return Extraction(
        dump.megabytes,
        [_time_both(dump, redirects, ids, folder) for _ in range(rounds)],
        larger.megabytes,
        measure(_own(larger, redirects, ids, folder)),
        len(text) / (pages.stat().st_size if pages.suffix == ".bz2" else len(bz2.compress(text))),
    )


def _time_both(dump: Sized, redirects: Path, ids: Path, folder: Path) -> Round:
    text = folder / "text"
    wikiextractor = script("run_wikiextractor.py", dump_file=dump.path, output_dir=text, processes=available_cores())
    preprocess = script(
        "preprocess_wikipedia.py",
        wikiextractor_output_dir=text,
        redirect_file=redirects,
        wikidata_id_file=ids,
        output_dir=folder / "published",
        num_workers=available_cores(),
    )
    published = [measure([*command, "--overwrite"]) for command in (wikiextractor, preprocess)]
    return Round(published, measure(_own(dump, redirects, ids, folder)))


def _own(dump: Sized, redirects: Path, ids: Path, folder: Path) -> list[object]:
    command = script(
        "extract_articles.py",
        dump_file=dump.path,
        redirect_file=redirects,
        wikidata_id_file=ids,
        output_dir=folder / "own",
        num_workers=available_cores(),
    )
    return [*command, "--overwrite"]
