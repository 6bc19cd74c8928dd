"""Time every corpus step on a larger dump, beside the floor measured in the same run.

Floors: decompression to nowhere by lbzip2 (bzip2 where that is not installed), a BeautifulSoup pass over the same text,
the tokenizer's own `encode_batch`. Steps and floors are whole processes, start-up included, the best of some rounds.

    python scripts/benchmark.py corpus --scale 100
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from benchmarks.inputs import Sources, make_inputs
from benchmarks.measure import Measurement, measure
from leia.base.cli import EXISTING_FILE, OUTPUT_FOLDER, command, option
from leia.base.pool import available_cores

SCRIPTS = Path(__file__).parents[1] / "scripts"
SAMPLE = Path(__file__).parents[1] / "tests" / "sample"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `size` is in `unit` (MB or tokens); `floor` is what the step is compared with."""

    step: str
    size: float
    unit: str
    ours: Measurement
    floor_name: str
    floor: Measurement


@command
@option(
    "Measurement",
    "--scale",
    type=click.IntRange(1),
    default=100,
    help="Size of each input, in sizes of the pages dump.",
)
@option(
    "Input",
    "--dump_file",
    type=EXISTING_FILE,
    default=None,
    show_default="the sample's",
    help="A pages-articles dump.",
)
@option(
    "Input",
    "--wikidata_file",
    type=EXISTING_FILE,
    default=None,
    show_default="the sample's",
    help="A Wikidata JSON dump.",
)
@option(
    "Input",
    "--sql_file",
    type=EXISTING_FILE,
    default=None,
    show_default="the sample's",
    help="A wb_items_per_site dump.",
)
@option(
    "Input",
    "--model_name",
    default=None,
    show_default="one trained on the sample",
    help="Tokenizer for the build.",
)
@option(
    "Measurement",
    "--rounds",
    type=click.IntRange(1),
    default=3,
    help="How often each command is timed; its best counts.",
)
@option("Measurement", "--growth", is_flag=True, help="Also at four times the scale: how time grows with the input.")
@option(
    "Measurement",
    "--work_dir",
    type=OUTPUT_FOLDER,
    default=None,
    show_default="a temporary folder",
    help="Where to work.",
)
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
        click.echo(f"{available_cores()} cores, scale {scale}, best of {rounds}\n{table(rows)}")
        if growth:
            larger = run_steps(sources, Path(folder) / "four times", 4 * scale, model_name, rounds)
            click.echo(f"\nscale {4 * scale}\n{table(larger)}\n\nfour times the input costs")
            for small, large in zip(rows, larger, strict=True):
                click.echo(f"  {small.step:28} {large.ours.seconds / small.ours.seconds:5.2f} times the time")


def run_steps(sources: Sources, folder: Path, scale: int, model_name: str | None, rounds: int) -> list[Row]:
    """Make the inputs in `folder`, time every step and its floor in turn."""
    folder.mkdir(parents=True)
    (pages, pages_mb), (entities, entities_mb), (table_dump, table_mb), (text, text_mb) = make_inputs(
        sources, folder, scale
    )
    language = _language(text)
    ids, redirects, preprocessed = folder / "ids", folder / "redirects.tsv", folder / "preprocessed"
    python = sys.executable

    def script(name: str, **options: object) -> list[object]:
        return [python, SCRIPTS / name, *(part for key, value in options.items() for part in (f"--{key}", value))]

    def compare(step: str, size: float, unit: str, ours: Sequence[object], name: str, floor: Sequence[object]) -> Row:
        measured = [(measure(floor), measure(ours)) for _ in range(rounds)]
        best_floor = min((pair[0] for pair in measured), key=lambda one: one.seconds)
        best_ours = min((pair[1] for pair in measured), key=lambda one: one.seconds)
        return Row(step, size, unit, best_ours, name, best_floor)

    languages = f"en,{language}"
    rows = [
        compare(
            *(
                "redirects",
                pages_mb,
                "MB",
                script("extract_wikipedia_redirects.py", dump_file=pages, output_file=redirects),
            ),
            *decompression(pages),
        ),
        compare(
            *("Wikidata ids from SQL", table_mb, "MB"),
            script("extract_wikidata_ids.py", dump_file=table_dump, output_dir=ids, languages=languages),
            *decompression(table_dump),
        ),
        compare(
            *("Wikidata ids from JSON", entities_mb, "MB"),
            script("extract_wikidata_ids.py", dump_file=entities, output_dir=ids, languages=languages),
            *decompression(entities),
        ),
        compare(
            *("preprocess", text_mb, "MB"),
            script(
                "preprocess_wikipedia.py",
                wikiextractor_output_dir=text,
                redirect_file=redirects,
                wikidata_id_file=ids / f"{language}-wikidata-ids.tsv",
                output_dir=preprocessed,
            ),
            "BeautifulSoup pass",
            [python, "-c", BEAUTIFULSOUP_PASS, text],
        ),
    ]
    if model_name is None:
        model_name = str(folder / "tiny-model")
        measure(script("make_tiny_model.py", preprocessed_dataset_dir=preprocessed, output_dir=model_name))
    build = script(
        "build_wikipedia_dataset.py",
        model_name=model_name,
        preprocessed_dataset_dir=preprocessed,
        wikidata_id_file=ids / "en-wikidata-ids.tsv",
        output_dir=folder / "dataset",
    )
    encode_batch = [python, "-c", ENCODE_BATCH, model_name, preprocessed]
    tokens = int(subprocess.run([str(part) for part in encode_batch], check=True, capture_output=True).stdout)
    rows.append(compare("build", tokens / 1e6, "M tokens", build, "raw encode_batch", encode_batch))
    return rows


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


def decompression(path: Path) -> tuple[str, list[object]]:
    """Name and command of the quickest usual decompression of `path` to nowhere."""
    if path.suffix == ".gz":
        return "gzip", ["gzip", "-dc", path]
    if shutil.which("lbzip2"):
        return f"lbzip2 -n {available_cores()}", ["lbzip2", "-n", available_cores(), "-dc", path]
    return "bzip2", ["bzip2", "-dc", path]


def _language(text: Path) -> str:
    from leia.corpus.wikiextractor import find_files, read_documents

    return next(read_documents(find_files(text)[0])).language


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    lines = [
        "| step | input | seconds | rate | floor | seconds | ratio | peak memory |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| {row.step} | {row.size:,.1f} {row.unit} | {row.ours.seconds:.2f} | "
            f"{row.size / row.ours.seconds:,.1f} {row.unit}/s | {row.floor_name} | {row.floor.seconds:.2f} | "
            f"{row.ours.seconds / row.floor.seconds:.2f} | {row.ours.peak_bytes / 1e6:,.0f} MB |"
        )
    return "\n".join(lines)
