"""The paper's tables: which runs one needs (`configs/tables/*.yaml`), and its cells from the results that are there.

Results of a run lie in `RESULTS_DIR/<run>/`, as `evaluate.sh` writes them. A run that has no result leaves its cell to
the authors' number.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from leia.base.errors import InputError
from leia.base.text import read_yaml
from leia.evaluation.results import TaskResult, check_models, read_result, result_path
from leia.tables.intervals import Estimate, Gain, bootstrap_gains, counts_as_gain, estimate, summarise_gains

MEAN = "mean"
"""The name of the column that holds the mean over a part's columns."""
PAPER_ITEMS = {"xcodah": 300, "xcsqa": 1000}
"""Items a language of the validation splits, which the paper evaluates on."""


@dataclass(frozen=True)
class Column:
    """A task with a number of examples; `task` is None for what only the authors evaluated."""

    name: str
    task: str | None
    num_fewshot: int

    @property
    def language(self) -> str:
        return (self.task or "").rpartition("_")[2]

    @property
    def benchmark(self) -> str:
        return (self.task or "").rpartition("_")[0]


@dataclass(frozen=True)
class Part:
    """Columns that stand side by side, with their mean."""

    name: str
    title: str
    columns: list[Column]
    has_mean: bool
    tokens_per_column: int

    @property
    def column_names(self) -> list[str]:
        """Those of the columns, then that of the mean where there is one."""
        names = [column.name for column in self.columns]
        return [*names, MEAN] if self.has_mean else names


@dataclass(frozen=True)
class Training:
    """How a row's runs are trained: a file of `configs/train/`, and what variables of `train.sh` and arguments of
    `scripts/train.py` set instead."""

    config: str
    variables: dict[str, str] = field(default_factory=dict)
    arguments: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Row:
    """`run`: a run's folder, with {language} and {seed}; `training` is None for the base model itself."""

    name: str
    label: str
    run: str
    training: Training | None
    authors: dict[str, dict[str, Estimate]]

    def runs(self, column: Column, seeds: Sequence[int]) -> dict[str, int]:
        """The runs that a cell is made of, each with its seed; a row that is not trained has one."""
        runs: dict[str, int] = {}
        for seed in seeds:
            runs.setdefault(self.run.format(language=column.language, seed=seed), seed)
        return runs


@dataclass(frozen=True)
class Table:
    """One file of `configs/tables/`. `baseline` names the row over which the rows below it are to gain."""

    title: str
    seeds: list[int]
    baseline: str
    parts: list[Part]
    rows: list[Row]
    source: str = ""
    doubt: str = ""
    base_model: str = ""
    train_tokens: int = 0


@dataclass(frozen=True)
class Cell:
    """Ours, the authors', the gain over the baseline row, and whether it counts by the paper's criterion.

    `items`: on how many ours was measured, 0 for a mean. `complete`: not on fewer than the paper's.
    """

    ours: Estimate | None = None
    authors: Estimate | None = None
    gain: Gain | None = None
    counts: bool | None = None
    seeds: int = 0
    items: int = 0
    complete: bool = True

    @property
    def difference(self) -> float | None:
        """Ours less the authors'; accuracies on other items than theirs are not compared."""
        return self.ours.mean - self.authors.mean if self.ours and self.authors and self.complete else None


@dataclass(frozen=True)
class _Measured:
    """What a row has in one column: an accuracy a seed, the results that they are of (none for a mean), on how many
    items (0 for a mean), and whether these are not fewer than the paper's."""

    accuracies: list[float]
    results: list[TaskResult]
    items: int
    complete: bool


def load_table(path: Path) -> Table:
    """Read a table file. Raises `InputError` when it is not one."""
    content = read_yaml(path, advice := "configs/tables/ holds examples")
    try:
        parts = [_part(part) for part in content.pop("parts")]
        default_config = content.pop("train_config", "")
        rows = [_row(row, default_config) for row in content.pop("rows")]
        table = Table(parts=parts, rows=rows, **content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: expected a table file, found one that does not fit ({error!r}); {advice}") from error
    if table.baseline not in {row.name for row in rows}:
        names = ", ".join(row.name for row in rows)
        raise InputError(f"{path}: its baseline is {table.baseline!r}; expected one of its rows: {names}")
    return table


def _part(content: Mapping[str, Any]) -> Part:
    return Part(
        name=content["name"],
        title=content["title"],
        columns=[Column(str(name), *(cell or (None, 0))) for name, cell in content["columns"].items()],
        has_mean=content.get("mean", True),
        tokens_per_column=content.get("tokens_per_column", 0),
    )


def _row(content: Mapping[str, Any], default_config: str) -> Row:
    return Row(
        name=content["name"],
        label=content["label"],
        run=content["run"],
        training=_training(content.get("train"), default_config),
        authors={
            part: {str(column): Estimate(*cell) for column, cell in cells.items()}
            for part, cells in content.get("authors", {}).items()
        },
    )


def _training(content: str | Mapping[str, Any] | None, default_config: str) -> Training | None:
    """Of a row's `train`: a training file, or what is set over the table's `train_config`."""
    if content is None or isinstance(content, str):
        return Training(content) if content else None
    variables = {f"ENTITY_NAME_INSERTION_{name.upper()}": str(content[name]) for name in ("strategy", "prob")}
    return Training(default_config, variables, content.get("arguments", []))


def fill(table: Table, results_dir: Path | None) -> dict[tuple[str, str, str], Cell]:
    """(part, row, column) -> cell; the column of the mean over a part is `MEAN`.

    Raises `InputError` for a broken result, for results of one column that were made from different items, and for two
    seeds of a row with the same model.
    """
    cells = {}
    place = [row.name for row in table.rows].index(table.baseline)
    for part in table.parts:
        found = [_measured(row, part, table.seeds, results_dir) for row in table.rows]
        baseline = found[place]
        for index, (row, ours) in enumerate(zip(table.rows, found, strict=True)):
            # The rows above the baseline do not try to beat it.
            gains = _gains(part, ours, baseline) if index > place else {}
            for column in part.column_names:
                authors = _authors(row, part, column)
                cell = _cell(ours.get(column), authors, baseline.get(column), gains.get(column))
                cells[part.name, row.name, column] = cell
    return cells


def _measured(row: Row, part: Part, seeds: Sequence[int], results_dir: Path | None) -> dict[str, _Measured]:
    """By the name of the column; the mean where each column has the same number of seeds."""
    found: dict[str, _Measured] = {}
    for column in part.columns:
        if column.task is None or results_dir is None:
            continue
        paths = [result_path(results_dir / run, column.task, column.num_fewshot) for run in row.runs(column, seeds)]
        by_path = {path: read_result(path) for path in paths if path.exists()}
        check_models(by_path)
        if results := list(by_path.values()):
            items = min(len(result.items) for result in results)
            complete = items >= PAPER_ITEMS.get(column.benchmark, 0)
            found[column.name] = _Measured([result.accuracy for result in results], results, items, complete)
    columns = list(found.values())
    if len(columns) == len(part.columns) and len({len(one.accuracies) for one in columns}) == 1:
        by_seed = zip(*(one.accuracies for one in columns), strict=True)
        means = [float(np.mean(accuracies)) for accuracies in by_seed]
        found[MEAN] = _Measured(means, [], 0, all(one.complete for one in columns))
    return found


def _gains(part: Part, ours: Mapping[str, _Measured], baseline: Mapping[str, _Measured]) -> dict[str, np.ndarray]:
    """What `bootstrap_gains` gives for each column that both rows have; their mean where these are all columns."""
    both = [column.name for column in part.columns if column.name in ours and column.name in baseline]
    gains = {name: bootstrap_gains(ours[name].results, baseline[name].results) for name in both}
    if len(gains) == len(part.columns):
        gains[MEAN] = np.mean(list(gains.values()), axis=0)
    return gains


def _authors(row: Row, part: Part, column: str) -> Estimate | None:
    given = row.authors.get(part.name, {})
    if column == MEAN and len(given) == len(part.columns):
        return Estimate(float(np.mean([cell.mean for cell in given.values()])))
    return given.get(column)


def _cell(
    measured: _Measured | None, authors: Estimate | None, baseline: _Measured | None, gains: np.ndarray | None
) -> Cell:
    if measured is None:
        return Cell(authors=authors)
    ours, seeds = estimate(measured.accuracies), len(measured.accuracies)
    cell = Cell(ours, authors, seeds=seeds, items=measured.items, complete=measured.complete)
    if gains is None or baseline is None:
        return cell
    counts = counts_as_gain(ours, estimate(baseline.accuracies))
    return replace(cell, gain=summarise_gains(gains), counts=counts)
