"""The paper's tables: which runs one needs (`configs/tables/*.yaml`), and its cells from the results that are there.

Results of a run lie in `RESULTS_DIR/<run>/`, as `evaluate.sh` writes them. A run that has no result leaves its cell to
the authors' number.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from leia.base.errors import InputError
from leia.evaluation.results import TaskResult, check_models, read_result, result_path
from leia.tables.intervals import (
    Estimate,
    Gain,
    bootstrap_gains,
    counts_as_gain,
    estimate,
    summarise_gains,
)

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
        return [column.name for column in self.columns] + [MEAN] * self.has_mean


@dataclass(frozen=True)
class Row:
    """`run`: a run's folder, with {language} and {seed}; `train`: strategy, prob, arguments, None where untrained."""

    name: str
    label: str
    run: str
    train: dict[str, Any] | None
    authors: dict[str, dict[str, Estimate]]

    def runs(self, column: Column, seeds: Sequence[int]) -> dict[str, int]:
        """The runs behind a cell, each with its seed; a row that is not trained has one."""
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
    train_config: str = ""
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


@dataclass
class _RowResults:
    accuracies: dict[str, list[float]] = field(default_factory=dict)
    results: dict[str, list[TaskResult]] = field(default_factory=dict)
    items: dict[str, int] = field(default_factory=dict)
    complete: dict[str, bool] = field(default_factory=dict)


def load_table(path: Path) -> Table:
    """Read a table file. Raises `InputError` when it is none."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        parts = [
            Part(
                name=part["name"],
                title=part["title"],
                columns=[Column(str(name), *(cell or (None, 0))) for name, cell in part["columns"].items()],
                has_mean=part.get("mean", True),
                tokens_per_column=part.get("tokens_per_column", 0),
            )
            for part in content.pop("parts")
        ]
        rows = [
            Row(
                name=row["name"],
                label=row["label"],
                run=row["run"],
                train=row.get("train"),
                authors={
                    part: {str(column): Estimate(*cell) for column, cell in cells.items()}
                    for part, cells in row.get("authors", {}).items()
                },
            )
            for row in content.pop("rows")
        ]
        table = Table(parts=parts, rows=rows, **content)
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: is no table file ({error!r}); configs/tables/ holds examples") from error
    if table.baseline not in {row.name for row in rows}:
        raise InputError(f"{path}: its baseline {table.baseline!r} is none of its rows")
    return table


def fill(table: Table, results_dir: Path | None) -> dict[tuple[str, str, str], Cell]:
    """(part, row, column) -> cell; the column of the mean over a part is `MEAN`.

    Raises `InputError` for a broken result, for results of one column that were made from different items, and for two
    seeds of a row with the same model.
    """
    cells = {}
    for part in table.parts:
        found = {row.name: _find(row, part, table.seeds, results_dir) for row in table.rows}
        baseline = found[table.baseline]
        candidate = False  # the rows above the baseline are no attempts to beat it
        for row in table.rows:
            gains = {}
            for column in part.column_names:
                results = found[row.name].results.get(column, [])
                if results and candidate and column in baseline.results:
                    gains[column] = bootstrap_gains(results, baseline.results[column])
                if column == MEAN and len(gains) == len(part.columns):
                    gains[MEAN] = np.mean(list(gains.values()), axis=0)
                cells[part.name, row.name, column] = _cell(
                    found[row.name],
                    column,
                    _authors(row, part, column),
                    baseline.accuracies.get(column),
                    gains.get(column),
                )
            candidate |= row.name == table.baseline
    return cells


def _find(row: Row, part: Part, seeds: Sequence[int], results_dir: Path | None) -> _RowResults:
    found = _RowResults()
    for column in part.columns:
        if column.task is None or results_dir is None:
            continue
        paths = [result_path(results_dir / run, column.task, column.num_fewshot) for run in row.runs(column, seeds)]
        by_path = {path: read_result(path) for path in paths if path.exists()}
        check_models(by_path)
        if results := list(by_path.values()):
            found.results[column.name] = results
            found.accuracies[column.name] = [result.accuracy for result in results]
            found.items[column.name] = min(len(result.items) for result in results)
            found.complete[column.name] = found.items[column.name] >= PAPER_ITEMS.get(column.benchmark, 0)
    found.complete[MEAN] = all(found.complete.values())
    counts = {len(values) for values in found.accuracies.values()}
    if len(found.accuracies) == len(part.columns) and len(counts) == 1:
        found.accuracies[MEAN] = [float(np.mean(values)) for values in zip(*found.accuracies.values(), strict=True)]
    return found


def _authors(row: Row, part: Part, column: str) -> Estimate | None:
    given = row.authors.get(part.name, {})
    if column == MEAN and len(given) == len(part.columns):
        return Estimate(float(np.mean([cell.mean for cell in given.values()])))
    return given.get(column)


def _cell(
    found: _RowResults,
    column: str,
    authors: Estimate | None,
    baseline: list[float] | None,
    gains: np.ndarray | None,
) -> Cell:
    accuracies = found.accuracies.get(column)
    if accuracies is None:
        return Cell(authors=authors)
    ours = estimate(accuracies)
    about = {"seeds": len(accuracies), "items": found.items.get(column, 0), "complete": found.complete[column]}
    if gains is None or baseline is None:
        return Cell(ours, authors, **about)
    return Cell(ours, authors, summarise_gains(gains), counts_as_gain(ours, estimate(baseline)), **about)


def format_accuracies(results: Sequence[TaskResult]) -> str:
    """A plain table of one model's results, with the mean over the languages of each benchmark."""
    lines = [f"{'task':<16} {'shots':>5} {'items':>6} {'accuracy':>9} {'std. error':>10}"]
    groups: dict[tuple[str, int], list[float]] = {}
    for result in results:
        task, shots = result.about["task"], result.about["num_fewshot"]
        stderr = result.about["harness"]["results"][task].get("acc_stderr,none")
        shown = f"{stderr:>10.3f}" if isinstance(stderr, float) else f"{'-':>10}"
        lines.append(f"{task:<16} {shots:>5} {len(result.items):>6} {result.accuracy:>9.3f} {shown}")
        groups.setdefault((task.rpartition("_")[0], shots), []).append(result.accuracy)
    for (benchmark, shots), values in groups.items():
        if len(values) > 1:
            lines.append(f"{'mean ' + benchmark:<16} {shots:>5} {'':>6} {np.mean(values):>9.3f}")
    return "\n".join(lines)
