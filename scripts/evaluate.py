r"""Evaluate a model on the paper's tasks or any task of lm-eval that compares choices or lets the model write answers.

Reads a model (a folder or a name on the hub) and the data (the hub, or the folders named); writes, for each task,
`<task>_<k>shot.json` and `<task>_<k>shot.jsonl` (a line an item) to --results_dir. A task with a result is not run
again. Under `accelerate launch` the processes share the items.

    python scripts/evaluate.py --model_name_or_path runs/ja --tasks xcodah_ja,xcsqa_ja --num_fewshot_samples 0,4 \
        --results_dir results/ja
"""

import os
from collections.abc import Callable
from pathlib import Path

import click

from leia.base.cli import (
    EXISTING_FOLDER,
    OUTPUT_FOLDER,
    comma_separated_numbers,
    include_path_option,
    option,
    trust_remote_code_option,
)
from leia.training.launch import launched_command


def number_or_auto(_: click.Context, __: click.Parameter, value: str) -> str:
    if value != "auto" and not (value.isdecimal() and int(value) > 0):
        raise click.BadParameter(f"expected auto or a number above 0, found {value!r}")
    return value


def data_folder(variable: str, help: str, shown: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """An option for a folder of data that tasks find under an environment variable."""
    default = {"envvar": variable, "show_envvar": True, "show_default": shown}
    return option("What is evaluated", f"--{variable.lower()}", type=EXISTING_FOLDER, help=help, **default)


@launched_command
@click.option("--model_name_or_path", required=True, help="Model folder, or its name on the hub.")
@option(
    "What is evaluated",
    "--tasks",
    default="xcodah,xcsqa",
    help="xcodah_<lang>, xcsqa_<lang>, the Japanese tasks, crosslingual_facts_<lang>, tasks of lm-eval; with commas.",
)
@option(
    "What is evaluated",
    "--num_fewshot_samples",
    default="0,4",
    callback=lambda _, __, value: comma_separated_numbers(value),
    help="Solved examples in front of an item: one number a task.",
)
@click.option("--results_dir", required=True, type=OUTPUT_FOLDER, help="Folder for the results of this model alone.")
@option(
    "What is evaluated",
    "--name_format",
    default="",
    show_default="as in training",
    envvar="NAME_FORMAT",
    show_envvar=True,
    help="How English names stand beside entities in TASK+given, TASK+written: {entity} ({name}).",
)
@include_path_option("What is evaluated")
@data_folder("XCSR_DIR", "Local copy of X-CSR.", shown="the hub")
@data_folder("JAPANESE_DIR", "The files of the Japanese tasks.", shown="the hub, where it has them")
@data_folder("FACTS_DIR", "Facts of crosslingual_facts, as JSON lines.", shown="BMLAMA_DIR")
@data_folder("BMLAMA_DIR", "Local copy of BMLAMA-17 or -53.", shown="FACTS_DIR")
@option(
    "How",
    "--scoring",
    type=click.Choice(["paper", "harness"]),
    default="paper",
    help="paper: as published; harness: by lm-eval's own model.",
)
@option("How", "--dtype", type=click.Choice(["auto", "float16", "bfloat16", "float32"]), default="auto",
              help="auto: float16 on a GPU, as published, else float32.")  # fmt: skip
@option("How", "--batch_size", default="auto", callback=number_or_auto, help="Items a batch (under harness: choices).")
@trust_remote_code_option
@click.option("--dry_run", is_flag=True, help="Check everything, say what would be evaluated, load no model.")
def main(
    model_name_or_path: str,
    tasks: str,
    num_fewshot_samples: list[int],
    results_dir: str,
    name_format: str,
    include_path: str | None,
    scoring: str,
    dtype: str,
    batch_size: str,
    trust_remote_code: bool,
    dry_run: bool,
    **data_folders: str | None,
) -> int:
    import torch

    from leia.data.tokenizers import check_model_name
    from leia.evaluation.jobs import find_tasks
    from leia.evaluation.run_tasks import ModelOptions, evaluate
    from leia.tables.rendering import format_metrics

    os.environ.update({name.upper(): folder for name, folder in data_folders.items() if folder})
    if dtype == "auto":
        dtype = "float16" if torch.cuda.is_available() else "float32"
    check_model_name(model_name_or_path)
    options = ModelOptions(scoring, model_name_or_path, dtype, batch_size, trust_remote_code)
    names = [name.strip() for name in tasks.split(",")]
    jobs = find_tasks(names, num_fewshot_samples, model_name_or_path, include_path, name_format)
    results = evaluate(options, jobs, Path(results_dir), dry_run)
    if results:
        click.echo(format_metrics(results))
    return 0


if __name__ == "__main__":
    main()
