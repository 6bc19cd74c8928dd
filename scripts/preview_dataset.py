r"""Show blocks of the training stream as training will read them, the inserted names between their tags.

Reads a dataset folder of build_wikipedia_dataset.py and the tokenizer that it was made with. In a terminal it opens a
pager (q ends it); in a pipe, or with --text FILE, it gives plain text; with --html FILE one page for a browser
(with --preprocessed_dataset_dir and --wikidata_id_file also what each link leads to and why some give no name).

    python scripts/preview_dataset.py --model_name meta-llama/Llama-2-7b-hf --dataset_dir jawiki-dataset \
        --entity_name_insertion_strategy right --entity_name_insertion_prob 0.5
"""

import sys
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import click

from leia.base.cli import OUTPUT_FILE, InputPath, command, input_folder, option, trust_remote_code_option
from leia.data.insertion import STRATEGIES, WHERE

SAMPLES = 5
SAMPLES_IN_PAGER = 100  # not without end: the pager's key for the last page would never come back
STREAM = "Stream, as for training"


def source(name: str, made_by: str, help: str, **kind: bool) -> Callable[..., Any]:
    return option("Output", name, type=InputPath(made_by, **kind), default=None, help=f"For --html: {help}")


def file_to_write(name: str, help: str) -> Callable[..., Any]:
    return option("Output", f"--{name}", f"{name}_file", type=OUTPUT_FILE, default=None, help=help)


def setting(name: str, default: str, **settings: Any) -> Callable[..., Any]:
    """An option that --config may give, too."""
    return option(STREAM, name, default=None, show_default=default, **settings)


@command
@click.option("--model_name", required=True, help="Model (hub name or folder) whose tokenizer made the dataset.")
@input_folder("--dataset_dir", "build_wikipedia_dataset.py")
@option(
    STREAM,
    "--config",
    type=click.Path(exists=True, readable=True),
    default=None,
    help="Settings of this file of configs/train, or of the run in this folder; what is given here wins.",
)
@setting("--max_length", type=click.IntRange(1), default="2048", help="Tokens of a block.")
@setting("--entity_name_insertion_prob", type=click.FloatRange(0, 1), default="1.0", help="Share of names inserted.")
@setting("--entity_name_insertion_strategy", type=click.Choice(list(STRATEGIES)), default="right", help=WHERE)
@setting("--entity_name_start_tag", default="<translate>", help="The tag before a name.")
@setting("--entity_name_end_tag", default="</translate>", help="The tag after a name.")
@setting(
    "--no_separator_tokens",
    type=bool,
    is_flag=False,
    flag_value=True,
    default="False",
    help="Names without the two tags.",
)
@setting(
    "--separate_articles", type=bool, is_flag=False, flag_value=True, default="False", help="EOS after each article."
)
@option(STREAM, "--shuffle/--no-shuffle", default=True, help="Articles in the order of training, or of the dataset.")
@setting("--seed", type=click.IntRange(0), default="42",
         help="Seed of the order and of the draws; training with it reads the same blocks.")  # fmt: skip
@option("Output", "--with_names", is_flag=True, help="Skip blocks without an inserted name.")
@option("Output", "--num_samples", type=click.IntRange(1), default=None,
        show_default=f"{SAMPLES}; in a terminal, until q", help="Blocks to show.")  # fmt: skip
@file_to_write("text", "Write plain text to this file.")
@file_to_write("html", "Write a page for the browser to this file.")
@source("--preprocessed_dataset_dir", "extract_articles.py", "explain the links of the text.", file_okay=False)
@source("--wikidata_id_file", "extract_wikidata_ids.py", "the one that the build read.", dir_okay=False)
@trust_remote_code_option
def main(
    model_name: str,
    dataset_dir: str,
    config: str | None,
    shuffle: bool,
    with_names: bool,
    num_samples: int | None,
    text_file: str | None,
    html_file: str | None,
    preprocessed_dataset_dir: str | None,
    wikidata_id_file: str | None,
    trust_remote_code: bool,
    **given: Any,
) -> None:
    check_files(preprocessed_dataset_dir, wikidata_id_file, html_file)
    from leia.data.name_tags import add_entity_name_tags
    from leia.data.packing import LeiaConstantLengthDataset
    from leia.data.tokenizers import load_tokenizer
    from leia.reports.links import LinkExplainer
    from leia.reports.preview import Block, NamedBlocks, TokenTexts, render_blocks
    from leia.reports.preview_page import page_data, write_page
    from leia.reports.stream_settings import read_settings
    from leia.training.streams import check_sources, open_sources, stream_settings
    from leia.training.validation import hold_out

    experiment, seed = read_settings(config, given, model_name, dataset_dir)
    (source,) = open_sources(experiment)
    tokenizer = load_tokenizer(model_name, trust_remote_code, [experiment.tags])
    check_sources([source], tokenizer, read_ids=True)
    manifest = source.manifest
    explainer = None
    if preprocessed_dataset_dir is not None and wikidata_id_file is not None:
        explainer = LinkExplainer(preprocessed_dataset_dir, wikidata_id_file, tokenizer, manifest)
    tag_ids = add_entity_name_tags(tokenizer)
    dataset, _ = hold_out(source.dataset, experiment.validation_articles)
    settings = stream_settings(source, experiment, tokenizer)
    stream = LeiaConstantLengthDataset(dataset, shuffle=shuffle, seed=seed, **settings)
    blocks = map(Block.of, stream)
    if with_names:
        blocks = NamedBlocks(blocks, tag_ids)
    rendered = render_blocks(blocks, TokenTexts(tokenizer), tag_ids)
    if html_file is not None:
        name = Path(dataset_dir).resolve().name
        data = page_data(
            name, stream, num_samples or SAMPLES, dataset["title"], tokenizer, explainer, manifest, with_names
        )
        write_page(html_file, data)
        click.echo(f"written: {html_file}")
    if text_file is not None:
        write_text(text_file, islice(rendered, num_samples or SAMPLES))
    if html_file is None and text_file is None:
        show(rendered, num_samples)
    if isinstance(blocks, NamedBlocks) and (html_file is None or text_file is not None):
        click.echo(f"skipped: {blocks.skipped:,} blocks without an inserted name", err=True)


def check_files(preprocessed_dataset_dir: str | None, wikidata_id_file: str | None, html_file: str | None) -> None:
    if (preprocessed_dataset_dir is None) != (wikidata_id_file is None):
        raise click.UsageError("--preprocessed_dataset_dir and --wikidata_id_file go together")
    if preprocessed_dataset_dir is not None and html_file is None:
        raise click.UsageError("--preprocessed_dataset_dir and --wikidata_id_file are for --html")


def write_text(path: str, blocks: Iterable[str]) -> None:
    from leia.base.outputs import new_file

    with new_file(path) as partial, partial.open("w", encoding="utf-8") as file:
        file.writelines(click.unstyle(block) + "\n" for block in blocks)
    click.echo(f"written: {path}")


def show(blocks: Iterable[str], num_samples: int | None) -> None:
    """In a terminal one after the other; in a pipe as text."""
    if sys.stdin.isatty() and sys.stdout.isatty():
        pages = islice(blocks, num_samples or SAMPLES_IN_PAGER)
        click.echo_via_pager(f"{block}\n" for block in pages)
    else:
        sys.stdout.reconfigure(encoding="utf-8")
        for block in islice(blocks, num_samples or SAMPLES):
            click.echo(block)


if __name__ == "__main__":
    main()
