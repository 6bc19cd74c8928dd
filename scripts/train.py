r"""Fine-tune a model on a dataset of build_wikipedia_dataset.py; train.sh is its launcher.

Reads a configuration of configs/train/, the dataset and the model; writes checkpoints, then the model with its
tokenizer and card to --output_dir. With --dry_run it only says what the run would do and need. SIGTERM saves a
checkpoint of the last whole step and exits with 143; 3 is the exit code where memory runs out.
Options of transformers' TrainingArguments may be added, but for those that follow from others: --output_dir (required),
--run_name, --learning_rate, --max_steps, --save_steps, --seed, --per_device_train_batch_size, --report_to,
--resume_from_checkpoint (last, or a folder) and so on.

    accelerate launch --config_file configs/accelerate/cpu.yaml scripts/train.py --config configs/train/tiny_cpu.yaml \
        --model_name_or_path work/tiny-model --wikipedia_dataset_dir work/ja/dataset --output_dir runs/tiny
"""

import os
import shlex
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from leia.base.cli import EXISTING_FILE, comma_separated_numbers, option, options_of
from leia.training.arguments import parse
from leia.training.experiment import Experiment
from leia.training.launch import STOPPED, launched_command

if TYPE_CHECKING:
    from leia.evaluation.run_tasks import TaskScores

PAPER = Path(__file__).parents[1] / "configs" / "train" / "llama2_7b.yaml"


def nothing_saved(more: tuple[str, ...], try_steps: int | None, **_: Any) -> str:
    """What a run says that is stopped before it trains: what it has saved, it saved when it ran before."""
    if try_steps:
        return "stopped; a try leaves nothing"
    if any(word.startswith("--resume_from_checkpoint") for word in more):
        return "stopped before there was anything new to save; the same command with RESUME=1 continues"
    return "stopped before the first checkpoint; the same command begins again"


@partial(launched_command, when_stopped=nothing_saved)
@click.option("--config", type=EXISTING_FILE, default=str(PAPER), show_default="configs/train/llama2_7b.yaml",
              help="The experiment; the command line wins over it.")  # fmt: skip
@options_of(Experiment, in_config=True)
@option("Before a run", "--dry_run", is_flag=True, help="Only check what a run checks, and say what it needs.")
@option("Before a run", "--accelerate_config", type=EXISTING_FILE, envvar="ACCELERATE_CONFIG",
        show_default="ACCELERATE_CONFIG, else one process",
        help="The machine of a dry run, a file of configs/accelerate.")  # fmt: skip
@option("Before a run", "--gpu_memory_gb", type=click.FloatRange(0, min_open=True),
        help="Of one GPU, as its maker names it: does the dry run's training fit?")  # fmt: skip
@option("Before a run", "--tokens_per_second", type=click.FloatRange(0, min_open=True),
        help="Of all GPUs together, for the time that a dry run tells.")  # fmt: skip
@click.argument("more", nargs=-1, type=click.UNPROCESSED, metavar="[OPTIONS OF TrainingArguments]...")
def main(
    config: str,
    more: tuple[str, ...],
    dry_run: bool,
    accelerate_config: str | None,
    gpu_memory_gb: float | None,
    tokens_per_second: float | None,
    **options: Any,
) -> int:
    if dry_run:
        from leia.training.dry_run import look_at, machine_named

        machine = machine_named(accelerate_config, os.environ.get("LAUNCH_ARGS", ""))
        experiment, args = parse(config, options, more, dry_on=machine)
        task_scores(experiment)  # are their data there?
        click.echo(look_at(experiment, args, machine, gpu_memory_gb, tokens_per_second))
        return 0
    experiment, args = parse(config, options, more)
    from leia.training.memory import memory_named
    from leia.training.run import train
    from leia.training.trial import try_out

    with memory_named(args.per_device_train_batch_size):
        if experiment.try_steps:
            try_out(experiment, args)
            return 0
        return 0 if train(experiment, args, shlex.join(["python", *sys.argv]), task_scores(experiment)) else STOPPED


def task_scores(experiment: Experiment) -> "TaskScores | None":
    """What scores the model on the tasks asked for while it trains; their data is read now."""
    if not experiment.tasks:
        return None
    from leia.evaluation.run_tasks import TaskScores

    numbers = comma_separated_numbers(experiment.num_fewshot_samples)
    names = [name.strip() for name in experiment.tasks.split(",")]
    return TaskScores(names, numbers, experiment.model_name_or_path, experiment.include_path or None)


main.context_settings["ignore_unknown_options"] = True

if __name__ == "__main__":
    main()
