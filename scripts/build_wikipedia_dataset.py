r"""Tokenise preprocessed articles and add the tokens of each linked entity's name: the dataset that training reads.

Reads a folder of extract_articles.py and the id file of the pivot language (English), and writes a dataset folder
(columns title, input_ids, entity_start_positions, entity_end_positions, alternative_entity_input_ids; positions in
tokens, end exclusive) with manifest.json in it.

    python scripts/build_wikipedia_dataset.py --model_name meta-llama/Llama-2-7b-hf \
        --preprocessed_dataset_dir jawiki-preprocessed --wikidata_id_file wikidata/en-wikidata-ids.tsv \
        --output_dir jawiki-dataset
"""

from pathlib import Path
from typing import Any

import click

from leia.base.cli import (
    OUTPUT_FOLDER,
    articles_option,
    input_file,
    num_workers_option,
    options_of,
    output_option,
    overwrite_option,
    step_command,
    trust_remote_code_option,
)
from leia.data.name_choice import NameChoice


@step_command
@click.option("--model_name", required=True, help="Model (hub name or folder) whose tokenizer is used.")
@articles_option
@input_file("--wikidata_id_file", "extract_wikidata_ids.py", "Id file of the pivot language; of --name_languages each "
            "(repeatable). Articles without links need none.", required=False, multiple=True)  # fmt: skip
@output_option("--output_dir", OUTPUT_FOLDER, "Dataset folder to write; replaced as a whole.")
@click.option(
    "--max_length",
    type=click.IntRange(2),
    default=None,
    show_default="keep whole",
    help="Cut articles to this many tokens.",
)
@options_of(NameChoice)
@trust_remote_code_option
@num_workers_option
@overwrite_option
def main(
    model_name: str,
    preprocessed_dataset_dir: str,
    wikidata_id_file: tuple[str, ...],
    output_dir: str,
    max_length: int | None,
    trust_remote_code: bool,
    num_workers: int,
    overwrite: bool,
    **names: Any,
) -> None:
    from leia.base.datasets import NewDataset, open_articles, save_dataset, training_schema
    from leia.base.step import open_step, read_manifest
    from leia.data.encoding import encode_dataset, with_greatest_id
    from leia.data.names import note_on_match
    from leia.data.suitability import check_suitability
    from leia.data.tokenizers import count_ids, load_tokenizer, tokenizer_identity

    choice = NameChoice(**names)
    choice.check(wikidata_id_file)
    if Path(preprocessed_dataset_dir).exists():
        open_articles(preprocessed_dataset_dir)  # another folder is refused now, and not after a model was looked for
    tokenizer = load_tokenizer(model_name, trust_remote_code)
    for note in check_suitability(tokenizer, model_name):
        click.echo(note, err=True)
    schema = training_schema(count_ids(tokenizer), len(choice.languages), choice.sentences)
    name = model_name.rstrip("/").rsplit("/", 1)[-1]
    of_tokenizer = {"name": name, **tokenizer_identity(tokenizer)}
    options = {"tokenizer": of_tokenizer, "max_length": max_length, **choice.options()}
    inputs = [preprocessed_dataset_dir, *wikidata_id_file, *filter(None, [choice.names_file])]
    with open_step("build_wikipedia_dataset", inputs, NewDataset(output_dir, schema), options, overwrite) as step:
        articles = open_articles(preprocessed_dataset_dir)
        entity_names = choice.read(wikidata_id_file, articles, step)
        how = {"in_text": choice.names_in_text, "sentences": choice.sentences, "facts": step.facts}
        encoded = encode_dataset(articles, tokenizer, entity_names, max_length, num_workers, step, **how)
        if (read_manifest(preprocessed_dataset_dir) or {}).get("step") == "import_articles":
            step.facts["texts"] = "imported"
        save_dataset(step.target, schema, with_greatest_id(encoded, step.facts))
        step.notes += note_on_match(step.count("anchors"), choice.names_file)


if __name__ == "__main__":
    main()
