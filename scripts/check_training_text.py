r"""Search a training dataset of an invented world for what it must not state, and fail where it states it.

Reads the manifest of a world of make_invented_world.py and a dataset of build_wikipedia_dataset.py with its tokenizer;
writes nothing. leia/demonstration/leaks.py tells what is looked for.

    python scripts/check_training_text.py --purpose target --world_dir work/demonstration/seed1/world \
        --dataset_dir work/demonstration/seed1/data-target --model_name work/demonstration/seed1/scratch
"""

from pathlib import Path

import click

from leia.base.cli import command, input_folder
from leia.base.errors import InputError

SHOWN = 3


@command
@input_folder("--world_dir", "make_invented_world.py", "The world that the text is of.")
@input_folder("--dataset_dir", "build_wikipedia_dataset.py", "The training dataset.")
@click.option("--model_name", required=True, help="Model (hub name or folder) whose tokenizer made the dataset.")
@click.option("--purpose", required=True, type=click.Choice(["base", "target"]),
              help="base: for the base model; target: for LEIA training.")  # fmt: skip
def main(world_dir: str, dataset_dir: str, model_name: str, purpose: str) -> None:
    from leia.base.datasets import open_training_dataset
    from leia.data.tokenizers import load_tokenizer
    from leia.demonstration.leaks import find_leaks
    from leia.demonstration.wikis import read_world

    world = read_world(Path(world_dir))
    dataset = open_training_dataset(dataset_dir)
    leaks = list(find_leaks(world, dataset, load_tokenizer(model_name), purpose))
    if leaks:
        shown = "; ".join(f"{leak.sentence!r} ({leak.status}) in {leak.article!r}" for leak in leaks[:SHOWN])
        raise InputError(f"{dataset_dir}: {len(leaks):,} sentences state what this text must not: {shown}")
    click.echo(f"{dataset_dir}: {len(dataset):,} articles state nothing that they must not")


if __name__ == "__main__":
    main()
