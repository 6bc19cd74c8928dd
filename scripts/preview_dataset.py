r"""Show blocks of the training stream as training will read them, the inserted names between their tags.

Reads a dataset folder of build_wikipedia_dataset.py and the tokenizer that it was made with. In a terminal it opens a
pager (q ends it); in a pipe, or with --text FILE, it gives plain text; with --html FILE one page for a browser
(with --preprocessed_dataset_dir and --wikidata_id_file also what each link leads to and why some give no name).

    python scripts/preview_dataset.py --model_name meta-llama/Llama-2-7b-hf --dataset_dir jawiki-dataset \
        --entity_name_insertion_strategy right --entity_name_insertion_prob 0.5
"""

import sys
from itertools import islice
from pathlib import Path

import click

from leia.base.cli import OUTPUT_FILE, InputPath, command, input_folder, option, trust_remote_code_option
from leia.data.insertion import STRATEGIES

SAMPLES = 5
SAMPLES_IN_PAGER = 100  # not without end: the pager's key for the last page would never come back
STREAM = "Stream, as for training"


@command
@click.option("--model_name", required=True, help="Model (hub name or folder) whose tokenizer made the dataset.")
@input_folder("--dataset_dir", "build_wikipedia_dataset.py")
@option(STREAM, "--max_length", type=click.IntRange(1), default=2048, help="Tokens of a block.")
@option(
    STREAM, "--entity_name_insertion_prob", type=click.FloatRange(0, 1), default=1.0, help="Share of names inserted."
)
@option(
    STREAM, "--entity_name_insertion_strategy", type=click.Choice(STRATEGIES), default="right", help="Where names go."
)
@option(STREAM, "--shuffle/--no-shuffle", default=True, help="Articles in the order of training, or as they lie.")
@option(
    STREAM,
    "--seed",
    type=click.IntRange(0),
    default=42,
    help="Seed of the order and of the draws; training with it reads the same blocks.",
)
@option(
    "Output",
    "--num_samples",
    type=click.IntRange(1),
    default=None,
    show_default=f"{SAMPLES}; in a terminal {SAMPLES_IN_PAGER}, until q",
    help="Blocks to show.",
)
@option("Output", "--text", "text_file", type=OUTPUT_FILE, default=None, help="Write plain text to this file.")
@option(
    "Output", "--html", "html_file", type=OUTPUT_FILE, default=None, help="Write a page for the browser to this file."
)
@option(
    "Output",
    "--preprocessed_dataset_dir",
    type=InputPath("preprocess_wikipedia.py", file_okay=False),
    default=None,
    help="For --html: explain the links of the text.",
)
@option(
    "Output",
    "--wikidata_id_file",
    type=InputPath("extract_wikidata_ids.py", dir_okay=False),
    default=None,
    help="For --html: the one that the build read.",
)
@trust_remote_code_option
def main(
    model_name: str,
    dataset_dir: str,
    max_length: int,
    entity_name_insertion_prob: float,
    entity_name_insertion_strategy: str,
    shuffle: bool,
    seed: int,
    num_samples: int | None,
    text_file: str | None,
    html_file: str | None,
    preprocessed_dataset_dir: str | None,
    wikidata_id_file: str | None,
    trust_remote_code: bool,
) -> None:
    if (preprocessed_dataset_dir is None) != (wikidata_id_file is None):
        raise click.UsageError("--preprocessed_dataset_dir and --wikidata_id_file go together")
    if preprocessed_dataset_dir is not None and html_file is None:
        raise click.UsageError("--preprocessed_dataset_dir and --wikidata_id_file are for --html")
    from leia.base.datasets import open_training_dataset
    from leia.base.outputs import new_file
    from leia.base.step import read_manifest
    from leia.data.packing import LeiaConstantLengthDataset
    from leia.data.tokenizers import add_entity_name_tags, check_dataset, load_tokenizer
    from leia.reports.preview import TokenTexts, render_blocks

    dataset = open_training_dataset(dataset_dir)
    manifest = read_manifest(dataset_dir)
    tokenizer = load_tokenizer(model_name, trust_remote_code)
    check_dataset(dataset, tokenizer, manifest, dataset_dir)
    explainer = None
    if preprocessed_dataset_dir is not None and wikidata_id_file is not None:
        from leia.reports.links import LinkExplainer

        explainer = LinkExplainer.open(preprocessed_dataset_dir, wikidata_id_file, tokenizer, manifest)
    tag_ids = add_entity_name_tags(tokenizer)
    insertion = entity_name_insertion_prob, entity_name_insertion_strategy
    stream = LeiaConstantLengthDataset(dataset, max_length, *tag_ids, *insertion, shuffle, seed)
    samples = num_samples or SAMPLES
    blocks = render_blocks((block["input_ids"].tolist() for block in stream), TokenTexts(tokenizer), tag_ids)
    if html_file is not None:
        from leia.reports.preview_page import page_data, write_page

        name = Path(dataset_dir).resolve().name
        pivot_language = (manifest or {}).get("options", {}).get("pivot_language", "en")
        data = page_data(name, stream, samples, dataset["title"], tokenizer, explainer, pivot_language)
        write_page(html_file, data)
        click.echo(f"written: {html_file}")
    if text_file is not None:
        with new_file(text_file) as partial, partial.open("w", encoding="utf-8") as file:
            file.writelines(click.unstyle(block) + "\n" for block in islice(blocks, samples))
        click.echo(f"written: {text_file}")
    if html_file is not None or text_file is not None:
        return
    if sys.stdin.isatty() and sys.stdout.isatty():
        pages = islice(blocks, num_samples or SAMPLES_IN_PAGER)
        click.echo_via_pager(f"{block}\n" for block in pages)
    else:
        sys.stdout.reconfigure(encoding="utf-8")
        for block in islice(blocks, samples):
            click.echo(block)


if __name__ == "__main__":
    main()
