r"""Fine-tune re-rankers on judged collections in five folds, rank the test queries, and make the table of their MAP.

A collection is a folder with queries.tsv (or TREC topics), documents.jsonl (or TREC documents) and qrels.txt, or an id
of ir_datasets. Writes to --output_dir a folder for each model and collection, with every ranking as a TREC run file and
results.json, and table.md. What is complete is not made again. With --epochs 0 the models rank as they are.

    python scripts/evaluate_retriever.py --model before=runs/retriever/epoch-0 --model after=runs/retriever/epoch-10 \
        --collection es-ja=work/retrieval/held_out/es-ja --output_dir runs/retriever-map
"""

from pathlib import Path
from typing import Any

import click

from leia.base.cli import (
    EXISTING_FILE,
    OUTPUT_FOLDER,
    CommaSeparated,
    command,
    option,
    options_of,
    output_option,
    overwrite_option,
)
from leia.retrieval.recipe import FineTuning


@command
@click.option("--model", "models", multiple=True, required=True, metavar="[NAME=]PLACE",
              help="BERT in a folder or on the hub (repeatable); several of one NAME: its seeds.")  # fmt: skip
@click.option("--collection", "collections", multiple=True, required=True, metavar="[NAME=]PLACE",
              help="Folder, or id of ir_datasets (repeatable): a column of the table.")  # fmt: skip
@output_option("--output_dir", OUTPUT_FOLDER, "Folder for rankings, results and table.")
@options_of(FineTuning)
@option("Collections", "--folds_file", type=EXISTING_FILE, show_default="dealt in turn",
        help="query<TAB>fold a line, folds 1 to 5.")  # fmt: skip
@option("Collections", "--query_fields", type=CommaSeparated(), default="title", help="Fields of TREC topics to use.")
@option("Collections", "--encoding", default="utf-8", help="Of TREC topics and documents (CLEF: latin-1).")
@click.option("--max_length", type=click.IntRange(4), show_default="the model's positions",
              help="Tokens of query and document together.")  # fmt: skip
@click.option("--table", type=EXISTING_FILE, show_default="none",
              help="A file of configs/tables: ours beside its numbers, by its names of rows and columns.")  # fmt: skip
@overwrite_option
def main(
    models: tuple[str, ...],
    collections: tuple[str, ...],
    output_dir: str,
    folds_file: str | None,
    query_fields: tuple[str, ...],
    encoding: str,
    max_length: int | None,
    table: str | None,
    overwrite: bool,
    **settings: Any,
) -> None:
    from leia.retrieval.evaluation_run import How, Named, evaluate_all

    def named(value: str) -> Named:
        name, equals, place = value.partition("=")
        return Named(name, place) if equals else Named(value, value)

    how = How(FineTuning(**settings), max_length, folds_file and Path(folds_file), query_fields, encoding)
    places = [named(value) for value in models], [named(value) for value in collections]
    click.echo(evaluate_all(*places, Path(output_dir), how, table and Path(table), overwrite))


if __name__ == "__main__":
    main()
