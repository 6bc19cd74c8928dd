r"""Give a model new tokens for a language, learnt on its articles: fewer tokens a text, and the old ids for old text.

Reads a model (hub name or folder) and a folder of extract_articles.py, with --wikidata_id_file the id file of the pivot
language (English) too. Writes a model folder: weights with rows for the new tokens, tokenizer, config, manifest.json,
and vocabulary_report.json with each new token, and with tokens and losses on articles held out, which are printed too.

    python scripts/extend_vocabulary.py --model_name meta-llama/Llama-2-7b-hf --num_new_tokens 5000 \
        --preprocessed_dataset_dir jawiki-preprocessed --output_dir llama-2-7b-ja
"""

from dataclasses import asdict
from typing import Any

import click

from leia.base.cli import (
    OUTPUT_FOLDER,
    InputPath,
    articles_option,
    option,
    options_of,
    output_option,
    overwrite_option,
    step_command,
    trust_remote_code_option,
)
from leia.data.names import NameRule

START_HELP = (
    "New rows: the mean of the old tokens that each stands for; of the name's, where it is a link's text; of all."
)
ID_FILE = InputPath("extract_wikidata_ids.py", dir_okay=False)


@step_command
@click.option("--model_name", required=True, help="Model (hub name or folder) to be given new tokens.")
@articles_option
@output_option("--output_dir", OUTPUT_FOLDER, "Folder for the model; replaced as a whole.")
@option("Tokens", "--num_new_tokens", type=click.IntRange(1), default=1000, help="How many.")
@option("Tokens", "--held_out_articles", type=click.IntRange(1), default=50, help="Give no tokens: for the report.")
@option("Tokens", "--max_articles", type=click.IntRange(1), default=20_000, help="Learn from so many, spread evenly.")
@option("Rows", "--start", type=click.Choice(["pieces", "names", "mean"]), default="pieces", help=START_HELP)
@option("Rows", "--wikidata_id_file", type=ID_FILE, show_default="none", help="Id file of the pivot language: names.")
@options_of(NameRule)
@trust_remote_code_option
@overwrite_option
def main(
    preprocessed_dataset_dir: str, output_dir: str, wikidata_id_file: str | None, overwrite: bool, **settings: Any
) -> None:
    from leia.base.datasets import open_articles
    from leia.base.errors import UsageError
    from leia.base.step import open_step
    from leia.data.encoding import distinct_qids
    from leia.data.longer_tokenizer import check_extendable
    from leia.data.names import read_pivot_titles
    from leia.data.tokenizers import load_tokenizer, tokenizer_identity
    from leia.training.extension import STEP, Extension, extend, model_input, new_model

    rule = NameRule(**{name: settings.pop(name) for name in asdict(NameRule())})
    extension = Extension(**settings)
    if extension.start == "names" and wikidata_id_file is None:
        raise UsageError("--start names needs --wikidata_id_file, the id file of the pivot language")
    tokenizer = load_tokenizer(extension.model_name, extension.trust_remote_code)
    check_extendable(tokenizer)
    options = asdict(extension) | {"tokenizer": tokenizer_identity(tokenizer), **asdict(rule)}
    options["model_name"] = extension.model_name.rstrip("/").rsplit("/", 1)[-1]
    inputs = [preprocessed_dataset_dir, *([wikidata_id_file] if wikidata_id_file else [])]
    inputs += model_input(extension.model_name)
    with open_step(STEP, inputs, new_model(output_dir), options, overwrite) as step:
        articles, titles = open_articles(preprocessed_dataset_dir), None
        if wikidata_id_file:
            titles = read_pivot_titles(wikidata_id_file, distinct_qids(articles), rule, step)
        extend(extension, tokenizer, articles, preprocessed_dataset_dir, titles, step)


if __name__ == "__main__":
    main()
