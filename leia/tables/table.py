"""The cells of the paper's tables, from the results that are there.

Results of a run lie in `RESULTS_DIR/<run>/`, as `evaluate.sh` writes them. A run that has no result leaves its cell to
the authors' number.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from leia.evaluation.results import TaskResult, check_models, of_status, read_result, result_path
from leia.tables.definition import MEAN, Column, Part, Row, Table
from leia.tables.intervals import Estimate, Gain, bootstrap_gains, counts_as_gain, estimate, summarise_gains
from leia.tables.knowledge import MEASURES, Interval, draw_gains, draw_measures, has_measures, summarise

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


def paper_items(column: Column) -> int:
    """On how many items the authors' numbers of a column are; 0 where it is not known."""
    return column.items or PAPER_ITEMS.get(column.benchmark, 0)


@dataclass(frozen=True)
class Cell:
    """Ours, the authors', the gain over the baseline row, and whether it counts by the paper's criterion.

    `items`: on how many ours was measured, 0 for a mean. `complete`: not on fewer than the paper's. `metric`: its name,
    "" for a mean. `interval`: over items, of the measures of knowledge and of retrieval.
    """

    ours: Estimate | None = None
    authors: Estimate | None = None
    gain: Gain | None = None
    counts: bool | None = None
    seeds: int = 0
    items: int = 0
    complete: bool = True
    metric: str = ""
    interval: Interval | None = None

    @property
    def difference(self) -> float | None:
        """Ours less the authors'; accuracies on other items than theirs are not compared."""
        return self.ours.mean - self.authors.mean if self.ours and self.authors and self.complete else None


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
                found[column.name] = [of_status(result, column.status) for result in by_path.values()]
    return found


def _cells(row: Row, part: Part, results: Mapping[str, Sequence[TaskResult]]) -> dict[str, Cell]:
    """The cells of a row by the name of the column, as yet without gains."""
    authors = row.authors.get(part.name, {})
    cells = {}
    for column in part.columns:
        cell = Cell(authors=authors.get(column.name))
        if ours := results.get(column.name):
            items = min(len(result.items) for result in ours)
            complete = items >= paper_items(column)
            values = [result.value(column.metric) for result in ours]
            metric = column.metric or next(iter(ours[0].metrics))
            cell = replace(cell, ours=estimate(values), seeds=len(ours), items=items, complete=complete, metric=metric)
            if has_measures(ours) and metric in MEASURES:
                drawn = draw_measures([result.items for result in ours])
                cell = replace(cell, interval=summarise(drawn[metric]))
        cells[column.name] = cell
    if part.mean:
        seeds = [
            [result.value(column.metric) for result in results[column.name]]
            for column in part.columns
            if column.name in results
        ]
        cells[MEAN] = mean_cell(list(cells.values()), authors, seeds)
    return cells


def mean_cell(cells: Sequence[Cell], authors: Mapping[str, Estimate], values: Sequence[Sequence[float]]) -> Cell:
    """The mean over `cells`: ours where each has the same number of seeds (`values`, of each measured cell, one a
    seed), the authors' where they give it or all of the columns, never that of some."""
    mean = Cell(authors=authors.get(MEAN))
    if MEAN not in authors and len(authors) == len(cells):
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
            if pair[0][0].is_better_less(column.metric):
                continue  # the criterion, p and the bold print say what is greater
            if all(map(has_measures, pair)) and (column.metric or MEASURES[0]) in MEASURES:
                runs = ([result.items for result in results] for results in pair)
                gain = draw_gains(*runs, column.metric or MEASURES[0])
            else:
                gain = bootstrap_gains(*pair, column.metric)
            if gain is not None:
                gains[column.name] = gain
    if part.mean and len(gains) == len(part.columns):
        gains[MEAN] = np.mean(list(gains.values()), axis=0)
    return gains
