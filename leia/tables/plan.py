"""What a table still needs: the missing trainings and evaluations as commands of `train.sh` and `evaluate.sh`.

A run's model lies in MODELS_DIR/<run>, its results in RESULTS_DIR/<run>. What is there is looked up each time, so the
same plan continues where it was stopped.
"""

import os
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from leia.base.errors import InputError
from leia.evaluation.results import read_result, result_path
from leia.tables.definition import Column, Row, Table, Training

EXPERIMENT_VARIABLES = {
    *("ENTITY_NAME_INSERTION_STRATEGY", "ENTITY_NAME_INSERTION_PROB", "NO_SEPARATOR_TOKENS", "LEARNING_RATE", "SEED"),
    *("TASKS", "NUM_FEWSHOT_SAMPLES", "NAME_FORMAT"),
}
"""Variables of `train.sh` and `evaluate.sh` that a table decides on."""


@dataclass(frozen=True)
class Folders:
    """Where models, results and the training dataset of a {language} for a {model} (its name without the owner) lie;
    the dataset's folder may hold {seed}, too, and {dataset}, which a row says.

    `root` holds `train.sh` and `evaluate.sh`; a table names its training files from there.
    """

    models: Path
    results: Path
    dataset: str
    root: Path


@dataclass(frozen=True)
class Step:
    """One command: `script` with `variables` in its environment; `tokens` that a model trains on, or reads;
    `language` of a training's dataset."""

    run_name: str
    script: str
    variables: dict[str, str]
    arguments: list[str]
    tokens: int
    language: str = ""

    def gpu_hours(self, tokens_per_second: float) -> float:
        """Its cost at the rate of training on one GPU."""
        speedup = 1 if self.script == "train.sh" else 3  # the backward pass of training costs two forward passes
        return self.tokens / (tokens_per_second * speedup) / 3600

    def __str__(self) -> str:
        variables = [f"{name}={shlex.quote(value)}" for name, value in self.variables.items()]
        return " ".join([*variables, f"./{self.script}", *map(shlex.quote, self.arguments)])

    def run(self, root: Path) -> None:
        """Run the script of the folder `root` and wait. Raises `InputError` when it fails."""
        # A variable that was exported for another training must not change what the table says.
        inherited = {name: value for name, value in os.environ.items() if name not in EXPERIMENT_VARIABLES}
        process = subprocess.Popen([str(root / self.script), *self.arguments], env=inherited | self.variables)
        try:
            code = process.wait()
        except (KeyboardInterrupt, SystemExit):  # Ctrl-C, SIGTERM: a training saves a checkpoint before it ends
            process.terminate()
            process.wait()
            raise
        if code != 0:
            raise InputError(
                f"{self.script} ended with exit code {code} for {self.run_name}; "
                "fix that and run the same command again, what is finished stays"
            )


@dataclass(frozen=True)
class _Run:
    """One model of a row, and how many tokens it is still to read for which tasks, each with its number of examples."""

    name: str
    language: str
    seed: int
    missing: dict[tuple[str, int], int] = field(default_factory=dict)


def missing_steps(table: Table, folders: Folders, more: Sequence[str] = ()) -> list[Step]:
    """The steps that `table` lacks, row by row: a run's training (with `more` options of train.py), then its
    evaluation.

    Raises `InputError` for a table that does not say what its models are trained from.
    """
    if not table.base_model:
        raise InputError(f"{table.title}: names no base_model to train from; configs/tables/table1.yaml is an example")
    steps = []
    for row in table.rows:
        for run in _runs(table, row, folders.results):
            model = row.model or table.base_model.replace("{seed}", str(run.seed))
            if row.training:
                model = str((folders.models / run.name).resolve())
                if not (Path(model) / "config.json").is_file():
                    steps.append(_train(table, row.training, run, folders, more))
            steps.append(_evaluate(run, model, folders.results, row.name_format))
    return steps


def missing_datasets(steps: Sequence[Step], made_by: str = "") -> dict[str, str]:
    """The datasets of trainings that are not there, by their folder, each with the command that makes it: `made_by`,
    where the table has its own."""
    commands = {}
    for step in steps:
        folder = step.variables.get("WIKIPEDIA_DATASET_DIR", "")
        if step.script == "train.sh" and not (Path(folder) / "state.json").is_file():
            names = {"LANG": step.language, "MODEL_NAME_OR_PATH": step.variables["MODEL_NAME_OR_PATH"]}
            variables = " ".join(
                f"{k}={shlex.quote(v)}" for k, v in (names | {"WIKIPEDIA_DATASET_DIR": folder}).items()
            )
            commands[folder] = made_by or f"{variables} bash scripts/build_corpus.sh"
    return commands


def check_datasets(steps: Sequence[Step]) -> None:
    """Raise `InputError` where the dataset of a training is not there: now, and not after the trainings before it."""
    if missing := missing_datasets(steps):
        raise InputError(
            f"{', '.join(missing)}: expected training datasets, found no state.json in them; the same command without "
            "--run says how to make each"
        )


def disk_of(steps: Sequence[Step]) -> str:
    """The disk that the trainings need, in a line: the models that stay, and what the one that runs needs beside.
    Reckoned from the config of the base model, which is not downloaded for it."""
    trainings = [step for step in steps if step.script == "train.sh"]
    if not trainings:
        return "nothing for models"
    from leia.training.estimate import bytes_of_models

    base = trainings[0].variables["MODEL_NAME_OR_PATH"]
    found = bytes_of_models(base)
    if found is None:
        return (
            f"unknown for {len(trainings)} models: the config of {base} is neither in a folder nor in the hub's cache"
        )
    final, checkpoint = found
    return (
        f"{len(trainings)} models x {final / 1e9:,.1f} GB = {len(trainings) * final / 1e9:,.1f} GB, and up to "
        f"{3 * checkpoint / 1e9:,.1f} GB more while one trains (3 checkpoints, removed when its model is there)"
    )


def _runs(table: Table, row: Row, results_dir: Path) -> list[_Run]:
    """The runs of a row that lack a result."""
    runs: dict[str, _Run] = {}
    for part in table.parts:
        for column in part.columns:
            for name, seed in row.runs(column, table.seeds).items() if column.task else ():
                run = runs.setdefault(name, _Run(name, column.language, seed))
                if not _is_finished(results_dir / name, column):
                    run.missing.setdefault((str(column.task), column.num_fewshot), part.tokens_per_column)
    return [run for run in runs.values() if run.missing]


def _train(table: Table, training: Training, run: _Run, folders: Folders, more: Sequence[str]) -> Step:
    base_model = table.base_model.replace("{seed}", str(run.seed))
    dataset = folders.dataset
    words = {
        "language": run.language,
        "model": base_model.rpartition("/")[2],
        "dataset": training.dataset,
        "seed": run.seed,
    }
    for name, word in words.items():
        dataset = dataset.replace(f"{{{name}}}", str(word))
    variables = {
        "RUN_NAME": run.name,
        "OUTPUT_DIR": str((folders.models / run.name).resolve()),
        "MODEL_NAME_OR_PATH": base_model,
        "WIKIPEDIA_DATASET_DIR": str(Path(dataset).resolve()),
        "TRAIN_CONFIG": str(folders.root / training.config),
        **training.variables,
        "RESUME": "1",  # from the newest checkpoint that is there when the training begins, if one is
    }
    # A table needs the models alone: the checkpoints of 70 runs would take 13 TB.
    arguments = ["--seed", str(run.seed), "--keep_checkpoints", "0", *training.arguments, *more]
    return Step(run.name, "train.sh", variables, arguments, table.train_tokens, run.language)


def _evaluate(run: _Run, model: str, results_dir: Path, name_format: str) -> Step:
    variables = {
        "MODEL_NAME_OR_PATH": model,
        "TASKS": ",".join(task for task, _ in run.missing),
        "NUM_FEWSHOT_SAMPLES": ",".join(str(num_fewshot) for _, num_fewshot in run.missing),
        "RESULTS_DIR": str((results_dir / run.name).resolve()),
        **({"NAME_FORMAT": name_format} if name_format else {}),
    }
    return Step(run.name, "evaluate.sh", variables, [], sum(run.missing.values()))


def _is_finished(results: Path, column: Column) -> bool:
    try:
        read_result(result_path(results, str(column.task), column.num_fewshot))
    except (InputError, FileNotFoundError):
        return False  # evaluate.sh says what is wrong with it, and makes it again
    return True
