r"""Tokenise preprocessed articles and put the name of each linked entity beside it: the dataset that training reads.

Reads a folder of preprocess_wikipedia.py and the id file of the pivot language (English), and writes a dataset folder
(columns title, input_ids, entity_start_positions, entity_end_positions, alternative_entity_input_ids; positions in
tokens, end exclusive) with manifest.json in it.

    python scripts/build_wikipedia_dataset.py --model_name meta-llama/Llama-2-7b-hf \
        --preprocessed_dataset_dir jawiki-preprocessed --wikidata_id_file wikidata/en-wikidata-ids.tsv \
        --output_dir jawiki-dataset
"""

import click

from leia.base.cli import (
    OUTPUT_FOLDER,
    checked_by,
    command,
    file_made_by,
    folder_made_by,
    num_workers_option,
    option,
)
from leia.corpus.titles import check_language
from leia.data.names import EXCLUDED_NAMESPACES, LIST_PREFIX


@command
@click.option("--model_name", required=True, help="Model (hub name or folder) whose tokenizer is used.")
@click.option(
    "--preprocessed_dataset_dir",
    type=folder_made_by("preprocess_wikipedia.py"),
    required=True,
    help="Made by preprocess_wikipedia.py.",
)
@click.option(
    "--wikidata_id_file",
    type=file_made_by("extract_wikidata_ids.py"),
    required=True,
    help="Id file of the pivot language.",
)
@click.option("--output_dir", type=OUTPUT_FOLDER, required=True, help="Dataset folder to write; replaced whole.")
@click.option(
    "--max_length",
    type=click.IntRange(2),
    default=None,
    show_default="keep whole",
    help="Cut articles to this many tokens.",
)
@option(
    "Names",
    "--pivot_language",
    default="en",
    callback=checked_by(check_language),
    help="Language of the names; the id file must be of its Wikipedia.",
)
@option(
    "Names",
    "--excluded_namespaces",
    default=",".join(EXCLUDED_NAMESPACES),
    help="Titles in these namespaces give no name; with commas between.",
)
@option("Names", "--list_prefix", default=LIST_PREFIX, help="Titles of lists start so and give no name.")
@click.option("--trust_remote_code", is_flag=True, help="Run tokenizer code that comes with the model.")
@num_workers_option
def main(
    model_name: str,
    preprocessed_dataset_dir: str,
    wikidata_id_file: str,
    output_dir: str,
    max_length: int | None,
    pivot_language: str,
    excluded_namespaces: str,
    list_prefix: str,
    trust_remote_code: bool,
    num_workers: int,
) -> None:
    from leia.base.datasets import PREPROCESSED_SCHEMA, new_dataset, open_dataset, save_dataset, training_schema
    from leia.base.step import MANIFEST_NAME, InputIdentities, Tally, write_manifest
    from leia.corpus.id_files import check_id_file
    from leia.data.encoding import distinct_qids, encode_dataset
    from leia.data.names import parse_namespaces, read_pivot_titles
    from leia.data.tokenizers import count_ids, load_tokenizer, tokenizer_identity

    check_id_file(wikidata_id_file, pivot_language)
    namespaces = parse_namespaces(excluded_namespaces)
    with new_dataset(output_dir, training_schema(0)) as folder:
        articles = open_dataset(preprocessed_dataset_dir, PREPROCESSED_SCHEMA, "scripts/preprocess_wikipedia.py")
        inputs = InputIdentities([preprocessed_dataset_dir, wikidata_id_file])
        tokenizer = load_tokenizer(model_name, trust_remote_code)
        titles, titles_tally = read_pivot_titles(wikidata_id_file, distinct_qids(articles), namespaces, list_prefix)
        tally = Tally("anchors")
        batches = encode_dataset(articles, tokenizer, titles, max_length, num_workers, tally)
        save_dataset(folder, training_schema(count_ids(tokenizer)), batches)
        options = {
            "tokenizer": {"name": model_name.rstrip("/").rsplit("/", 1)[-1], **tokenizer_identity(tokenizer)},
            "max_length": max_length,
            "pivot_language": pivot_language,
            "excluded_namespaces": namespaces,
            "list_prefix": list_prefix,
        }
        write_manifest(
            folder / MANIFEST_NAME,
            "build_wikipedia_dataset",
            inputs,
            options,
            [Tally("articles", len(articles)), tally, titles_tally],
        )
    click.echo(f"{tally}\n{titles_tally}\nwritten: {output_dir} ({len(articles):,} articles)")


if __name__ == "__main__":
    main()
