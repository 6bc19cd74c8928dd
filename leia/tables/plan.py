"""What a table still needs: the missing trainings and evaluations as commands of `train.sh` and `evaluate.sh`.

A run's model lies in MODELS_DIR/<run>, its results in RESULTS_DIR/<run>. What is there is asked for anew each time, so
a plan goes on where it was stopped.
"""

import os
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from leia.base.errors import InputError
from leia.evaluation.results import read_result, result_path
from leia.tables.table import Row, Table

ROOT = Path(__file__).resolve().parents[2]
FORWARD_SPEEDUP = 3
"""Evaluation is a forward pass; the backward pass of training costs two more."""


@dataclass(frozen=True)
class Folders:
    """Where models, results and the training dataset of a {language} for a {model} (its name without the owner) lie."""

    models: Path
    results: Path
    dataset: str


@dataclass(frozen=True)
class Step:
    """One command of a run: `script` with `variables` in its environment; `tokens` that a model trains on, or reads."""

    run_name: str
    script: str
    variables: dict[str, str]
    arguments: list[str]
    tokens: int

    def gpu_hours(self, tokens_per_second: float) -> float:
        """Its cost at the rate of training on one GPU."""
        rate = tokens_per_second * (1 if self.script == "train.sh" else FORWARD_SPEEDUP)
        return self.tokens / rate / 3600

    def __str__(self) -> str:
        variables = [f"{name}={shlex.quote(value)}" for name, value in self.variables.items()]
        return " ".join([*variables, f"./{self.script}", *map(shlex.quote, self.arguments)])

    def run(self) -> None:
        """Run it and wait. Raises `InputError` when it fails."""
        process = subprocess.Popen([str(ROOT / self.script), *self.arguments], env=os.environ | self.variables)
        try:
            code = process.wait()
        except (KeyboardInterrupt, SystemExit):  # Ctrl-C, SIGTERM: a training saves a checkpoint before it ends
            process.terminate()
            process.wait()
            raise
        if code != 0:
            raise InputError(
                f"{self.script} ended with exit code {code} for {self.run_name}; "
                "mend that and run the same command again, what is finished stays"
            )


def missing_steps(table: Table, folders: Folders) -> list[Step]:
    """The steps that `table` lacks, row by row: a run's training, then its evaluation.

    Raises `InputError` for a table that does not say what its models are trained from.
    """
    if not table.base_model:
        raise InputError(f"{table.title}: names no base_model to train from; configs/tables/table1.yaml is an example")
    return [step for row in table.rows for step in _row_steps(table, row, folders)]


def check_datasets(steps: Sequence[Step]) -> None:
    """Raise `InputError` where the dataset of a training is not there: now, and not after the trainings before it."""
    wanted = {step.variables["WIKIPEDIA_DATASET_DIR"] for step in steps if step.script == "train.sh"}
    missing = sorted(folder for folder in wanted if not (Path(folder) / "state.json").is_file())
    if missing:
        more = f", and so are {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InputError(f"{missing[0]}: is no training dataset{more}; scripts/build_corpus.sh makes one a language")


def _row_steps(table: Table, row: Row, folders: Folders) -> Iterator[Step]:
    wanted: dict[str, list[tuple[str, int, int]]] = {}
    seeds: dict[str, int] = {}
    languages: dict[str, str] = {}
    for part in table.parts:
        for column in part.columns:
            if column.task is None:
                continue
            for run, seed in row.runs(column, table.seeds).items():
                seeds[run], languages[run] = seed, column.language
                wanted.setdefault(run, []).append((column.task, column.num_fewshot, part.tokens_per_column))
    base = table.base_model.rpartition("/")[2]
    for run, tasks in wanted.items():
        missing = [entry for entry in tasks if not _is_finished(result_path(folders.results / run, *entry[:2]))]
        if not missing:
            continue
        model = str((folders.models / run).resolve()) if row.train else table.base_model
        if row.train and not (folders.models / run / "config.json").is_file():
            yield _training(
                table,
                row,
                run,
                seeds[run],
                folders.dataset.replace("{language}", languages[run]).replace("{model}", base),
                folders.models / run,
            )
        yield Step(
            run,
            "evaluate.sh",
            {
                "MODEL_NAME_OR_PATH": model,
                "TASKS": ",".join(task for task, _, _ in missing),
                "NUM_FEWSHOT_SAMPLES": ",".join(str(shots) for _, shots, _ in missing),
                "RESULTS_DIR": str((folders.results / run).resolve()),
            },
            [],
            sum(tokens for *_, tokens in missing),
        )


def _training(table: Table, row: Row, run: str, seed: int, dataset: str, output: Path) -> Step:
    train = row.train or {}
    variables = {
        "RUN_NAME": run,
        "OUTPUT_DIR": str(output.resolve()),
        "MODEL_NAME_OR_PATH": table.base_model,
        "WIKIPEDIA_DATASET_DIR": str(Path(dataset).resolve()),
        "TRAIN_CONFIG": str(ROOT / table.train_config),
        "ENTITY_NAME_INSERTION_STRATEGY": str(train["strategy"]),
        "ENTITY_NAME_INSERTION_PROB": str(train["prob"]),
        "RESUME": "1",  # from the newest checkpoint that is there when the training begins, if one is
    }
    return Step(run, "train.sh", variables, ["--seed", str(seed), *train.get("arguments", [])], table.train_tokens)


def _is_finished(path: Path) -> bool:
    try:
        read_result(path)
    except (InputError, FileNotFoundError):
        return False  # evaluate.sh says what is wrong with it, and makes it anew
    return True
