r"""Fine-tune a model on a dataset of build_wikipedia_dataset.py; train.sh is its launcher.

Reads a configuration of configs/train/, the dataset and the model; writes checkpoints, then the model with its
tokenizer and card to --output_dir. SIGTERM saves a checkpoint at the end of the step and exits with 143.
Options of transformers' TrainingArguments may be added, but for those that follow from others: --output_dir (required),
--run_name, --learning_rate, --max_steps, --save_steps, --seed, --per_device_train_batch_size, --report_to,
--resume_from_checkpoint (last, or a folder) and so on.

    accelerate launch --config_file configs/accelerate/cpu.yaml scripts/train.py --config configs/train/tiny_cpu.yaml \
        --model_name_or_path work/tiny-model --wikipedia_dataset_dir work/ja/dataset --output_dir runs/tiny
"""

import dataclasses
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from leia.base.cli import EXISTING_FILE, command, option
from leia.training.arguments import Experiment, parse

PAPER = Path(__file__).parents[1] / "configs" / "train" / "llama2_7b.yaml"


def experiment_options(function: Callable[..., None]) -> Callable[..., None]:
    """Each field of `Experiment` as an option; a flag may stand alone or be followed by true or false."""
    for field in reversed(dataclasses.fields(Experiment)):
        required = field.default is dataclasses.MISSING
        default = "  [required, here or in --config]" if required else f"  [default: {field.default}]"
        flag: dict[str, Any] = {"is_flag": False, "flag_value": True} if field.type is bool else {}
        settings = {"type": field.type, "default": None, "help": field.metadata["help"] + default, **flag}
        function = option(field.metadata["heading"], f"--{field.name}", **settings)(function)
    return function


@command
@click.option("--config", type=EXISTING_FILE, default=str(PAPER), show_default="configs/train/llama2_7b.yaml",
              help="The experiment; the command line wins over it.")  # fmt: skip
@experiment_options
@click.argument("more", nargs=-1, type=click.UNPROCESSED, metavar="[OPTIONS OF TrainingArguments]...")
def main(config: str, more: tuple[str, ...], **options: Any) -> None:
    experiment, args = parse(config, options, more)
    from leia.base.pool import end_process
    from leia.training.run import train

    if not train(experiment, args, shlex.join(["python", *sys.argv])):
        end_process(143)
    end_process()


main.context_settings["ignore_unknown_options"] = True

if __name__ == "__main__":
    main()
