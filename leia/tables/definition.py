"""The paper's tables as `configs/tables/*.yaml` define them: columns, rows, and the trainings of these."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from leia.base.errors import InputError, UsageError
from leia.base.text import read_yaml
from leia.corpus.languages import is_language
from leia.tables.intervals import Estimate

MEAN = "mean"
"""The name of the column that holds the mean over a part's columns."""


@dataclass(frozen=True)
class Column:
    """A task with a number of examples and one of its metrics (None: its first); `task` is None for what only the
    authors evaluated. `language` is that of the runs, "" where the table does not say it. `status`: of the items those
    alone whose field `status` says so, "" for all. `items`: on how many the authors' numbers are, 0 where the table
    does not say it."""

    name: str
    task: str | None = None
    num_fewshot: int = 0
    metric: str | None = None
    language: str = ""
    status: str = ""
    items: int = 0

    @property
    def benchmark(self) -> str:
        """The task without its language."""
        return (self.task or "").removesuffix(f"_{self.language}")


@dataclass(frozen=True)
class Part:
    """Columns that stand side by side, with their `mean` or without."""

    name: str
    title: str
    columns: list[Column]
    mean: bool = True
    tokens_per_column: int = 0

    @property
    def column_names(self) -> list[str]:
        """Those of the columns, then that of the mean where there is one."""
        return [column.name for column in self.columns] + [MEAN] * self.mean


@dataclass(frozen=True)
class Training:
    """A file of `configs/train/`, what variables of `train.sh` and arguments of `scripts/train.py` set over it, and a
    word that stands for {dataset} in the folder of the training dataset."""

    config: str
    variables: dict[str, str] = field(default_factory=dict)
    arguments: list[str] = field(default_factory=list)
    dataset: str = ""


@dataclass(frozen=True)
class Row:
    """`run`: a run's folder, with {language} and {seed}; `training` is None for a model that is there already: `model`,
    or the table's base model. `name_format`: how its evaluation shows names (NAME_FORMAT of `evaluate.sh`)."""

    name: str
    label: str
    run: str
    training: Training | None
    authors: dict[str, dict[str, Estimate]]
    model: str = ""
    name_format: str = ""

    def runs(self, column: Column, seeds: Sequence[int]) -> dict[str, int]:
        """The runs that a cell is made of, each with its seed; a row that is not trained has one."""
        runs: dict[str, int] = {}
        for seed in seeds:
            runs.setdefault(self.run.format(language=column.language, seed=seed), seed)
        return runs


@dataclass(frozen=True)
class Table:
    """One file of `configs/tables/`. `baseline` names the row over which those below it are to gain. `base_model` may
    hold {seed}. `train_config`: of the rows that name no other. `made_by`: the command that makes its datasets, where
    that is not scripts/build_corpus.sh. `metric`: what a cell holds whose column names no other. `drawn`: what the
    interval of a cell over items is drawn from."""

    title: str
    seeds: list[int]
    baseline: str
    parts: list[Part]
    rows: list[Row]
    source: str = ""
    doubt: str = ""
    base_model: str = ""
    made_by: str = ""
    train_config: str = ""
    train_tokens: int = 0
    metric: str = "Accuracy"
    drawn: str = "facts"

    @property
    def baseline_place(self) -> int:
        """The number of the baseline among the rows."""
        return [row.name for row in self.rows].index(self.baseline)


def load_table(path: Path) -> Table:
    """Read a table file. Raises `InputError` when it is not one."""
    content = read_yaml(path, advice := "configs/tables/ holds examples")
    try:
        parts = [_part(part) for part in content.pop("parts")]
        rows = [_row(row, content.get("train_config", "")) for row in content.pop("rows")]
        table = Table(parts=parts, rows=rows, **content)
        _check_languages(path, table)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: expected a table file, found one that does not fit ({error!r}); {advice}") from error
    if table.baseline not in (names := [row.name for row in rows]):
        raise InputError(f"{path}: its baseline is {table.baseline!r}; expected one of its rows: {', '.join(names)}")
    return table


def narrow(
    table: Table,
    base_model: str | None = None,
    languages: Sequence[str] = (),
    seeds: Sequence[int] = (),
    rows: Sequence[str] = (),
    train_config: str | None = None,
) -> Table:
    """The same table for another base model or training file (of the rows that take the table's own), or with the
    columns of some languages, some seeds or some rows alone (none: all). Raises `UsageError` for a language that no
    column is of, and for a row that is not there."""
    known = {column.language for part in table.parts for column in part.columns if column.task} - {""}
    for option, wanted, there in (("languages", languages, known), ("rows", rows, {row.name for row in table.rows})):
        if unknown := sorted(set(wanted) - there):
            what = "no column is of" if option == "languages" else "there is no row"
            raise UsageError(f"--{option}: {what} {', '.join(unknown)}; expected some of {', '.join(sorted(there))}")
    parts = [
        replace(part, columns=[one for one in part.columns if not languages or one.language in languages])
        for part in table.parts
    ]
    kept = [row for row in table.rows if not rows or row.name in rows]
    if train_config:
        kept = [
            replace(row, training=replace(row.training, config=train_config))
            if row.training and row.training.config == table.train_config
            else row
            for row in kept
        ]
    return replace(
        table, base_model=base_model or table.base_model, parts=parts, rows=kept, seeds=list(seeds) or table.seeds
    )


def _part(content: dict[str, Any]) -> Part:
    """A column is a list, or a mapping that may say its `language`; a part may say that of all its columns."""
    language = content.pop("language", "")
    columns = [_column(name, cell, language) for name, cell in content.pop("columns").items()]
    return Part(columns=columns, **content)


def _column(name: Any, cell: Any, language: str) -> Column:
    """Where no language is said, it is the column's name, or else the end of the task's (`xnli_zh`), if a Wikipedia has
    that code: the names of tasks say their language in many ways (belebele_vie_Latn, global_mmlu_full_vi_anatomy)."""
    if isinstance(name, bool):
        raise ValueError("a column named no is false in YAML: put the name in quotes")
    column = Column(str(name), **cell) if isinstance(cell, dict) else Column(str(name), *(cell or ()))
    end = (column.task or "").rpartition("_")[2]
    guessed = next((code for code in (column.name, end) if is_language(code) or column.name == end), "")
    return replace(column, language=column.language or language or guessed)


def _check_languages(path: Path, table: Table) -> None:
    """Raise `InputError` for a column whose runs have a language that is not known."""
    columns = [column for part in table.parts for column in part.columns if column.task and not column.language]
    if columns and any(row.training or "{language}" in row.run for row in table.rows):
        name, task, number = columns[0].name, columns[0].task, columns[0].num_fewshot
        raise InputError(
            f"{path}: column {name!r}: expected the language of its runs, found none; call the column by it, or write "
            f"`language: vi` in its part, or in it: {name}: {{task: {task}, num_fewshot: {number}, language: vi}}"
        )


def _row(content: dict[str, Any], default_config: str) -> Row:
    authors = {
        part: {str(column): Estimate(*cell) for column, cell in cells.items()}
        for part, cells in content.pop("authors", {}).items()
    }
    train = content.pop("train", None)  # a training file, or what is set over the table's `train_config`
    if train is None or isinstance(train, str):
        return Row(training=Training(train) if train else None, authors=authors, **content)
    named = {"strategy": "ENTITY_NAME_INSERTION_STRATEGY", "prob": "ENTITY_NAME_INSERTION_PROB"}
    variables = {variable: str(train[name]) for name, variable in named.items() if name in train}
    training = Training(default_config, variables, train.get("arguments", []), train.get("dataset", ""))
    return Row(training=training, authors=authors, **content)
