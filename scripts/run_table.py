"""Print, or run, what a table of the paper still lacks: trainings and evaluations, in order, with their cost.

Reads a table file of configs/tables/ and what lies in --models_dir (a model a run) and --results_dir (results a run);
with --run, the commands write there, from the training datasets in --dataset_dir. Stop it at any time: the same command
continues with what is missing. Words behind -- are options of train.py, for each training.

    python scripts/run_table.py --table configs/tables/table1.yaml --tokens_per_second 9000
"""

from dataclasses import replace
from pathlib import Path

import click

from leia.base.cli import EXISTING_FILE, comma_separated_numbers, command, include_path_option, option

ROOT = Path(__file__).resolve().parents[1]  # train.sh, evaluate.sh and configs/ are there


@command
@click.option("--table", required=True, type=EXISTING_FILE, help="A file of configs/tables/.")
@option("Another or a smaller table", "--model_name_or_path", help="Trained in place of the table's base model.")
@option(
    "Another or a smaller table", "--languages", default="", show_default="all", help="Columns of these alone: es,ja."
)
@option("Another or a smaller table", "--seeds", default="", show_default="all",
        callback=lambda _, __, value: comma_separated_numbers(value),
        help="Runs with these alone: 42,43.")  # fmt: skip
@option(
    "Another or a smaller table", "--rows", default="", show_default="all", help="These rows alone, by their names."
)
@option("Another or a smaller table", "--train_config", help="For the rows that take the table's own.")
@include_path_option("Another or a smaller table")
@click.option("--models_dir", default="runs", type=click.Path(file_okay=False), help="Holds <run>/, a trained model.")
@click.option("--results_dir", default="results", type=click.Path(file_okay=False), help="Holds <run>/, its results.")
@click.option("--dataset_dir", default="work/datasets/{language}wiki-{model}",
              help="A training dataset: that of the {language} for the base {model}.")  # fmt: skip
@click.option("--tokens_per_second", type=click.IntRange(1),
              help="Of one GPU in training, for costs in GPU hours; evaluation counts as 3 x as fast.")  # fmt: skip
@click.option("--run", is_flag=True, help="Run the commands; print them only otherwise.")
@click.argument("more", nargs=-1, metavar="[-- OPTIONS OF train.py]...")
def main(
    table: str,
    model_name_or_path: str | None,
    languages: str,
    seeds: list[int],
    rows: str,
    train_config: str | None,
    include_path: str | None,
    models_dir: str,
    results_dir: str,
    dataset_dir: str,
    tokens_per_second: int | None,
    run: bool,
    more: tuple[str, ...],
) -> None:
    from leia.tables.definition import load_table, narrow
    from leia.tables.plan import Folders, check_datasets, disk_of, missing_datasets, missing_steps

    folders = Folders(Path(models_dir), Path(results_dir), dataset_dir, ROOT)
    some_languages, some_rows = ([name for name in names.split(",") if name] for names in (languages, rows))
    content = narrow(load_table(Path(table)), model_name_or_path, some_languages, seeds, some_rows, train_config)
    steps = missing_steps(content, folders, more)
    if include_path:
        steps = [replace(step, variables={"INCLUDE_PATH": include_path, **step.variables}) for step in steps]
    if run:
        check_datasets(steps)
    trainings = sum(step.script == "train.sh" for step in steps)
    tokens = sum(step.tokens for step in steps)
    cost = f", {sum(step.gpu_hours(tokens_per_second) for step in steps):,.1f} GPU hours" if tokens_per_second else ""
    click.echo(
        f"# missing trainings: {trainings}, evaluations: {len(steps) - trainings}; {tokens / 1e6:,.1f}M tokens{cost}"
    )
    click.echo(f"# disk: {disk_of(steps)}")
    for folder, made_by in missing_datasets(steps, content.made_by).items():
        click.echo(f"# missing dataset {folder}; this makes it:\n{made_by}", err=True)
    for number, step in enumerate(steps, 1):
        cost = f", {step.gpu_hours(tokens_per_second):.2f} GPU hours" if tokens_per_second else ""
        click.echo(f"# {number}/{len(steps)}: {step.tokens / 1e6:,.2f}M tokens{cost}\n{step}")
        if run:
            step.run(ROOT)
    if run or not steps:
        click.echo(f"# complete; now: python scripts/make_results_table.py --table {table} --results_dir {results_dir}")


if __name__ == "__main__":
    main()
