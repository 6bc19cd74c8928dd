r"""Find the micro batch that trains fastest on this machine, by tries of a few steps that leave nothing behind.

Takes the words of a training, as train.sh gives them to the launcher, and prints the number; a table of what was tried
goes to standard error. Training on it sees the same global batches. FIND_MICRO_BATCH=1 ./train.sh does both.

    python scripts/find_micro_batch.py --config_file configs/accelerate/cpu.yaml scripts/train.py \
        --config configs/train/tiny_cpu.yaml --model_name_or_path work/tiny-model \
        --wikipedia_dataset_dir work/ja/dataset --output_dir runs/tiny
"""

import os
import sys
from functools import partial

import click

from leia.base.cli import EXISTING_FILE, command
from leia.training.micro_batch import TryFailed, find_micro_batch


@command
@click.option("--config_file", type=EXISTING_FILE, required=True, help="The machine: a file of configs/accelerate/.")
@click.option("--run", is_flag=True, help="Train with it, in place of printing it.")
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED,
                metavar="[OPTIONS OF accelerate launch] scripts/train.py [OPTIONS OF train.py]...")  # fmt: skip
def main(config_file: str, run: bool, words: tuple[str, ...]) -> None:
    words = ("--config_file", config_file, *words)
    try:
        micro_batch = find_micro_batch(words, partial(click.echo, err=True, nl=False))
    except TryFailed as failure:
        click.echo(f"\n{failure.message}", err=True, nl=False)
        sys.exit(failure.exit_code)
    if run:
        click.echo(f"trains with micro batches of {micro_batch}", err=True)
        training = ["-m", "leia.training.launch", *words, "--per_device_train_batch_size", str(micro_batch)]
        os.execv(sys.executable, [sys.executable, *training])
    click.echo(micro_batch)


# What follows the first word that is no option belongs to others.
main.context_settings |= {"ignore_unknown_options": True, "allow_interspersed_args": False}

if __name__ == "__main__":
    main()
