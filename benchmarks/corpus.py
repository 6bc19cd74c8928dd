"""Time every corpus step on a larger dump, beside the floor measured in the same run, and both ways of extraction.

Floors: decompression to nowhere by lbzip2 (bzip2 where that is not installed), a BeautifulSoup pass over the same text,
the tokenizer's own `encode_batch`. Steps and floors are whole processes, start-up included, the best of some rounds.
Then our own extraction and the published way in turn, the median counts, and the hours that follow for two Wikipedias.

    python scripts/benchmark.py corpus --scale 100
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

import click

from benchmarks.extraction import time_extraction
from benchmarks.inputs import Inputs, Sources, make_inputs
from benchmarks.measure import Measurement, measure, script
from leia.base.cli import EXISTING_FILE, OUTPUT_FOLDER, command, option
from leia.base.pool import available_cores
from leia.base.text import markdown_table
from leia.corpus.dumps import start_of_dump
from leia.corpus.siteinfo import read_wiki

SAMPLE = Path(__file__).parents[1] / "tests" / "sample"


@dataclass(frozen=True, slots=True)
class Floor:
    """The least that a step could take: a command that does only a part of its work."""

    name: str
    command: Sequence[object]


@dataclass(frozen=True, slots=True)
class Step:
    """A command to time on an input of `size` `unit` (MB or tokens), and the floor that it is compared with."""

    name: str
    size: float
    unit: str
    command: Sequence[object]
    floor: Floor


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: the best round of a step and of its floor."""

    step: Step
    ours: Measurement
    floor: Measurement

    def cells(self) -> list[str]:
        step, ours, floor = self.step, self.ours, self.floor
        return [
            *(step.name, f"{step.size:,.1f} {step.unit}"),
            *(f"{ours.seconds:.2f}", f"{step.size / ours.seconds:,.1f} {step.unit}/s"),
            *(step.floor.name, f"{floor.seconds:.2f}", f"{ours.seconds / floor.seconds:.2f}"),
            f"{ours.peak_bytes / 1e6:,.0f} MB",
        ]


def number(name: str, default: int, help: str) -> Callable[..., Any]:
    return option("Measurement", name, type=click.IntRange(1), default=default, help=help)


def dump(name: str, help: str) -> Callable[..., Any]:
    return option("Input", name, type=EXISTING_FILE, default=None, show_default="the sample's", help=help)


@command
@number("--scale", 100, "Size of each input, in sizes of the pages dump.")
@dump("--dump_file", "A pages-articles dump.")
@dump("--wikidata_file", "A Wikidata JSON dump.")
@dump("--sql_file", "A wb_items_per_site dump.")
@option(
    "Input", "--model_name", default=None, show_default="one trained on the sample", help="Tokenizer for the build."
)
@number("--rounds", 3, "How often each command is timed; its best counts.")
@option("Measurement", "--growth", is_flag=True, help="Also at four times the scale: how time grows with the input.")
@option("Measurement", "--work_dir", type=OUTPUT_FOLDER, default=None, show_default="a temporary folder",
        help="Where to work.")  # fmt: skip
def corpus(
    scale: int,
    dump_file: str | None,
    wikidata_file: str | None,
    sql_file: str | None,
    model_name: str | None,
    rounds: int,
    growth: bool,
    work_dir: str | None,
) -> None:
    sources = Sources(
        Path(dump_file or SAMPLE / "jawiki-sample-pages-articles.xml"),
        Path(wikidata_file or SAMPLE / "wikidata-sample.json"),
        Path(sql_file or SAMPLE / "wikidatawiki-sample-wb_items_per_site.sql"),
    )
    with tempfile.TemporaryDirectory(dir=work_dir) as folder:
        rows = run_steps(sources, Path(folder) / "once", scale, model_name, rounds)
        click.echo(f"{available_cores()} cores, scale {scale}, best of {rounds}\n{table(rows)}\n")
        ids = Path(folder) / "once" / "ids" / f"{_language(sources.pages)}-wikidata-ids.tsv"
        extraction = time_extraction(sources.pages, ids, Path(folder) / "extraction", scale, rounds)
        click.echo("\n".join(extraction.lines(available_cores())))
        if growth:
            larger = run_steps(sources, Path(folder) / "four times", 4 * scale, model_name, rounds)
            click.echo(f"\nscale {4 * scale}\n{table(larger)}\n\nfour times the input costs")
            for small, large in zip(rows, larger, strict=True):
                click.echo(f"  {small.step.name:28} {large.ours.seconds / small.ours.seconds:5.2f} times the time")


def run_steps(sources: Sources, folder: Path, scale: int, model_name: str | None, rounds: int) -> list[Row]:
    """Make the inputs in `folder`, time every step and its floor in turn."""
    folder.mkdir(parents=True)
    inputs = make_inputs(sources, folder, scale)
    rows = [time_step(step, rounds) for step in steps_to_articles(inputs, folder)]
    if model_name is None:
        model_name = str(folder / "tiny-model")
        measure(script("make_tiny_model.py", preprocessed_dataset_dir=folder / "preprocessed", output_dir=model_name))
    return [*rows, time_step(build_step(folder, model_name), rounds)]


def time_step(step: Step, rounds: int) -> Row:
    command = [*step.command, "--overwrite"]  # else a second round would find the output complete
    floors, ours = zip(*((measure(step.floor.command), measure(command)) for _ in range(rounds)), strict=True)
    return Row(step, min(ours, key=attrgetter("seconds")), min(floors, key=attrgetter("seconds")))


def steps_to_articles(inputs: Inputs, folder: Path) -> Iterator[Step]:
    """The steps that do not need a tokenizer; each reads what those before it wrote."""
    language = _language(inputs.pages.path)
    redirects, ids = folder / "redirects.tsv", folder / "ids"
    pages = script("extract_wikipedia_redirects.py", dump_file=inputs.pages.path, output_file=redirects)
    yield Step("redirects", inputs.pages.megabytes, "MB", pages, decompression(inputs.pages.path))
    for name, source in (("SQL", inputs.table), ("JSON", inputs.entities)):
        languages = f"en,{language}"
        entities = script("extract_wikidata_ids.py", dump_file=source.path, output_dir=ids, languages=languages)
        yield Step(f"Wikidata ids from {name}", source.megabytes, "MB", entities, decompression(source.path))
    preprocess = script(
        "preprocess_wikipedia.py",
        wikiextractor_output_dir=inputs.text.path,
        redirect_file=redirects,
        wikidata_id_file=ids / f"{language}-wikidata-ids.tsv",
        output_dir=folder / "preprocessed",
    )
    floor = Floor("BeautifulSoup pass", [sys.executable, "-c", BEAUTIFULSOUP_PASS, inputs.text.path])
    yield Step("preprocess", inputs.text.megabytes, "MB", preprocess, floor)


def build_step(folder: Path, model_name: str) -> Step:
    preprocessed = folder / "preprocessed"
    build = script(
        "build_wikipedia_dataset.py",
        model_name=model_name,
        preprocessed_dataset_dir=preprocessed,
        wikidata_id_file=folder / "ids" / "en-wikidata-ids.tsv",
        output_dir=folder / "dataset",
    )
    encode_batch = [sys.executable, "-c", ENCODE_BATCH, model_name, preprocessed]
    tokens = int(subprocess.run([str(part) for part in encode_batch], check=True, capture_output=True).stdout)
    return Step("build", tokens / 1e6, "M tokens", build, Floor("raw encode_batch", encode_batch))


BEAUTIFULSOUP_PASS = """
import sys
from benchmarks.beautifulsoup import split_links_by_beautifulsoup
from leia.corpus.wikiextractor import find_files, read_documents
for path in find_files(sys.argv[1]):
    for document in read_documents(path):
        split_links_by_beautifulsoup(document.markup)
"""

ENCODE_BATCH = """
import sys
from datasets import load_from_disk
from transformers import AutoTokenizer
backend = AutoTokenizer.from_pretrained(sys.argv[1]).backend_tokenizer
tokens = 0
for batch in load_from_disk(sys.argv[2]).iter(batch_size=1000):
    tokens += sum(map(len, backend.encode_batch(batch["text"])))
print(tokens)
"""


def decompression(path: Path) -> Floor:
    """The quickest usual decompression of `path` to nowhere."""
    if path.suffix == ".gz":
        return Floor("gzip", ["gzip", "-dc", path])
    if shutil.which("lbzip2"):
        return Floor(f"lbzip2 -n {available_cores()}", ["lbzip2", "-n", available_cores(), "-dc", path])
    return Floor("bzip2", ["bzip2", "-dc", path])


def _language(pages: Path) -> str:
    return read_wiki(start_of_dump(pages).decode("utf-8", "replace")).language


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    head = ["step", "input", "seconds", "rate", "floor", "seconds", "ratio", "peak memory"]
    return markdown_table(head, [row.cells() for row in rows]).rstrip()
