"""The paper's tables: which runs one needs (`configs/tables/*.yaml`), and its cells from the results that are there.

Results of a run lie in `RESULTS_DIR/<run>/`, as `evaluate.sh` writes them. A run that has no result leaves its cell to
the authors' number.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from leia.base.errors import InputError, UsageError
from leia.base.text import read_yaml
from leia.evaluation.results import TaskResult, check_models, read_result, result_path
from leia.tables.intervals import Estimate, Gain, bootstrap_gains, counts_as_gain, estimate, summarise_gains
from leia.tables.knowledge import MEASURES, Interval, draw_gains, draw_measures, has_measures, summarise

MEAN = "mean"
"""The name of the column that holds the mean over a part's columns."""
PAPER_ITEMS = {
    "xcodah": 300,
    "xcsqa": 1000,
    "jcommonsenseqa": 1119,
    "niilc": 198,
    "jemhopqa": 120,
    "jaqket_v1": 271,
    "jaqket_v2": 1164,
}
"""Items (a language) of the splits that the paper evaluates on."""


@dataclass(frozen=True)
class Column:
    """A task with a number of examples and one of its metrics (None: its first); `task` is None for what only the
    authors evaluated. `language` is that of the runs."""

    name: str
    task: str | None = None
    num_fewshot: int = 0
    metric: str | None = None
    language: str = ""

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
    """A file of `configs/train/`, and what variables of `train.sh` and arguments of `scripts/train.py` set over it."""

    config: str
    variables: dict[str, str] = field(default_factory=dict)
    arguments: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Row:
    """`run`: a run's folder, with {language} and {seed}; `training` is None for a model that is there already: `model`,
    or the table's base model."""

    name: str
    label: str
    run: str
    training: Training | None
    authors: dict[str, dict[str, Estimate]]
    model: str = ""

    def runs(self, column: Column, seeds: Sequence[int]) -> dict[str, int]:
        """The runs that a cell is made of, each with its seed; a row that is not trained has one."""
        runs: dict[str, int] = {}
        for seed in seeds:
            runs.setdefault(self.run.format(language=column.language, seed=seed), seed)
        return runs


@dataclass(frozen=True)
class Table:
    """One file of `configs/tables/`. `baseline` names the row over which those below it are to gain."""

    title: str
    seeds: list[int]
    baseline: str
    parts: list[Part]
    rows: list[Row]
    source: str = ""
    doubt: str = ""
    base_model: str = ""
    train_tokens: int = 0

    @property
    def baseline_place(self) -> int:
        """The number of the baseline among the rows."""
        return [row.name for row in self.rows].index(self.baseline)


@dataclass(frozen=True)
class Cell:
    """Ours, the authors', the gain over the baseline row, and whether it counts by the paper's criterion.

    `items`: on how many ours was measured, 0 for a mean. `complete`: not on fewer than the paper's. `interval`: over
    items, of the measures of knowledge alone.
    """

    ours: Estimate | None = None
    authors: Estimate | None = None
    gain: Gain | None = None
    counts: bool | None = None
    seeds: int = 0
    items: int = 0
    complete: bool = True
    interval: Interval | None = None

    @property
    def difference(self) -> float | None:
        """Ours less the authors'; accuracies on other items than theirs are not compared."""
        return self.ours.mean - self.authors.mean if self.ours and self.authors and self.complete else None


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
    if table.baseline not in (names := [row.name for row in rows]):
        raise InputError(f"{path}: its baseline is {table.baseline!r}; expected one of its rows: {', '.join(names)}")
    return table


def narrow(table: Table, base_model: str | None, languages: Sequence[str], seeds: Sequence[int]) -> Table:
    """The same rows for another base model, or with the columns of some languages or some seeds alone (none: all).
    Raises `UsageError` for a language that no column is of."""
    known = {column.language for part in table.parts for column in part.columns if column.task}
    if unknown := sorted(set(languages) - known):
        raise UsageError(
            f"--languages: no column is of {', '.join(unknown)}; expected some of {', '.join(sorted(known))}"
        )
    parts = [
        replace(part, columns=[one for one in part.columns if not languages or one.language in languages])
        for part in table.parts
    ]
    return replace(table, base_model=base_model or table.base_model, parts=parts, seeds=list(seeds) or table.seeds)


def _part(content: dict[str, Any]) -> Part:
    """`language` is that of the columns; where a part names none, each task's name ends with its own."""
    language = content.pop("language", None)
    columns = [Column(str(name), *(cell or ())) for name, cell in content.pop("columns").items()]
    known = [replace(one, language=language or (one.task or "").rpartition("_")[2]) for one in columns]
    return Part(columns=known, **content)


def _row(content: dict[str, Any], default_config: str) -> Row:
    authors = {
        part: {str(column): Estimate(*cell) for column, cell in cells.items()}
        for part, cells in content.pop("authors", {}).items()
    }
    train = content.pop("train", None)  # a training file, or what is set over the table's `train_config`
    if train is None or isinstance(train, str):
        return Row(training=Training(train) if train else None, authors=authors, **content)
    variables = {f"ENTITY_NAME_INSERTION_{name.upper()}": str(train[name]) for name in ("strategy", "prob")}
    training = Training(default_config, variables, train.get("arguments", []))
    return Row(training=training, authors=authors, **content)


def fill(table: Table, results_dir: Path | None) -> dict[tuple[str, str, str], Cell]:
    """(part, row, column) -> cell; the column of the mean over a part is `MEAN`.

    Raises `InputError` for a broken result, for results of one column that were made from different items, and for two
    seeds of a row with the same model.
    """
    filled = {}
    place = table.baseline_place
    for part in table.parts:
        results = [_results(row, part, table.seeds, results_dir) for row in table.rows]
        cells = [_cells(row, part, ours) for row, ours in zip(table.rows, results, strict=True)]
        for below in range(place + 1, len(table.rows)):  # the rows above the baseline do not try to beat it
            for name, gains in _gains(part, results[below], results[place]).items():
                ours, baseline = cells[below][name], cells[place][name]
                if ours.ours and baseline.ours:
                    counts = counts_as_gain(ours.ours, baseline.ours)
                    cells[below][name] = replace(ours, gain=summarise_gains(gains), counts=counts)
        for row, own in zip(table.rows, cells, strict=True):
            filled |= {(part.name, row.name, name): cell for name, cell in own.items()}
    return filled


def _results(row: Row, part: Part, seeds: Sequence[int], results_dir: Path | None) -> dict[str, list[TaskResult]]:
    """By the name of the column, a result a seed; only the columns that have any."""
    found = {}
    for column in part.columns:
        if column.task is not None and results_dir is not None:
            paths = [result_path(results_dir / run, column.task, column.num_fewshot) for run in row.runs(column, seeds)]
            by_path = {path: read_result(path) for path in paths if path.exists()}
            check_models(by_path)
            if by_path:
                found[column.name] = list(by_path.values())
    return found


def _cells(row: Row, part: Part, results: Mapping[str, Sequence[TaskResult]]) -> dict[str, Cell]:
    """The cells of a row by the name of the column, as yet without gains."""
    authors = row.authors.get(part.name, {})
    cells = {}
    for column in part.columns:
        cell = Cell(authors=authors.get(column.name))
        if ours := results.get(column.name):
            items = min(len(result.items) for result in ours)
            complete = items >= PAPER_ITEMS.get(column.benchmark, 0)
            values = [result.value(column.metric) for result in ours]
            cell = replace(cell, ours=estimate(values), seeds=len(ours), items=items, complete=complete)
            if has_measures(ours):
                drawn = draw_measures([result.items for result in ours])
                cell = replace(cell, interval=summarise(drawn[column.metric or MEASURES[0]]))
        cells[column.name] = cell
    if part.mean:
        seeds = [
            [result.value(column.metric) for result in results[column.name]]
            for column in part.columns
            if column.name in results
        ]
        cells[MEAN] = _mean(list(cells.values()), authors, seeds)
    return cells


def _mean(cells: Sequence[Cell], authors: Mapping[str, Estimate], values: Sequence[Sequence[float]]) -> Cell:
    """The mean over `cells`: ours where each has the same number of seeds (`values`, of each measured cell, one a
    seed), the authors' where they give all."""
    mean = Cell(authors=authors.get(MEAN))
    if len(authors) == len(cells):
        mean = Cell(authors=Estimate(float(np.mean([cell.mean for cell in authors.values()]))))
    if len(values) == len(cells) and len(set(map(len, values))) == 1:
        means = [float(np.mean(seed)) for seed in zip(*values, strict=True)]
        mean = replace(mean, ours=estimate(means), seeds=len(means), complete=all(cell.complete for cell in cells))
    return mean


def _gains(
    part: Part, ours: Mapping[str, Sequence[TaskResult]], baseline: Mapping[str, Sequence[TaskResult]]
) -> dict[str, np.ndarray]:
    """The gains in samples of the items for each column that both rows have, and in the last entry the gain itself;
    their mean where these are all columns."""
    gains = {}
    for column in part.columns:
        if column.name in ours and column.name in baseline:
            pair = ours[column.name], baseline[column.name]
            if all(map(has_measures, pair)):
                runs = ([result.items for result in results] for results in pair)
                gain = draw_gains(*runs, column.metric or MEASURES[0])
            else:
                gain = bootstrap_gains(*pair, column.metric)
            if gain is not None:
                gains[column.name] = gain
    if part.mean and len(gains) == len(part.columns):
        gains[MEAN] = np.mean(list(gains.values()), axis=0)
    return gains
