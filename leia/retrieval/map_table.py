"""Mean average precision as tables: beside the published numbers, or of models of one's own.

    results = {"mbert": {"de-en": [read_results(path) for path in the_seeds_of_mbert]}, ...}
    to_markdown(table, fill_map_table(table := load_table(Path("configs/tables/clef.yaml")), results))
    print(results_table(results))

Results are, by the names of row and column, the average precision of each query, one mapping a seed.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from leia.base.errors import InputError, UsageError
from leia.base.text import read_json
from leia.retrieval.scoring import mean_average_precision
from leia.tables.definition import MEAN, Column, Part, Row, Table
from leia.tables.intervals import bootstrap_means, counts_as_gain, estimate, paired_gains, summarise_gains
from leia.tables.knowledge import summarise
from leia.tables.rendering import to_markdown
from leia.tables.table import Cell, mean_cell, paper_items

Results = Mapping[str, Mapping[str, Sequence[Mapping[str, float]]]]
"""Row -> column -> of each seed: query -> average precision, from 0 to 1."""

_MADE_BY = "evaluate it again"


def read_results(path: Path) -> dict[str, float]:
    """The average precision of each test query in the results.json of an evaluation. Raises `InputError` when it is not
    one, or its mean is not that of its queries."""
    content = read_json(path, _MADE_BY)
    if missing := [name for name in ("average_precision", "map") if name not in content]:
        raise InputError(f"{path}: expected the results of an evaluation, found no {missing[0]!r}; {_MADE_BY}")
    precisions, mean = content["average_precision"], content["map"]
    if not isinstance(precisions, dict) or not precisions:
        found = f"{str(precisions)[:60]!r}"
        raise InputError(f"{path}: average_precision: expected query: number, found {found}; {_MADE_BY}")
    named = {**{f"average_precision: {query}": value for query, value in precisions.items()}, "map": mean}
    for where, value in named.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise InputError(f"{path}: {where}: expected a number from 0 to 1, found {value!r}; {_MADE_BY}")
    if not math.isclose(found := mean_average_precision(precisions), mean, abs_tol=1e-6):
        raise InputError(
            f"{path}: map: expected the mean of average_precision, {found:.6f}, found {mean:.6f}; was the file "
            f"changed? If so, {_MADE_BY}"
        )
    return precisions


def fill_map_table(table: Table, results: Results) -> dict[tuple[str, str, str], Cell]:
    """(part, row, column) -> cell, as `leia.tables.table.fill` gives them; the column of a part's mean is `MEAN`.

    Several seeds have the t interval, and every measured cell the bootstrap interval over queries; the rows below the
    baseline have their gain over it by the paired bootstrap over queries. A query's score is its mean over the seeds.
    In the mean over the columns a query that stands in several of them is drawn for all together.

    Raises `UsageError` for a row or column that the table does not have, `InputError` for runs of different queries.
    """
    _check_names(table, results)
    filled = {}
    for part in table.parts:
        queries = {row.name: _over_seeds(row.name, part, results.get(row.name, {})) for row in table.rows}
        baseline = {}
        for place, row in enumerate(table.rows):
            cells = _cells(table, part, row, results.get(row.name, {}), queries[row.name])
            if place == table.baseline_place:
                baseline = cells
            elif place > table.baseline_place:
                for name, gains in _gains(part, row.name, queries[row.name], queries[table.baseline]).items():
                    own, other = cells[name], baseline[name]
                    if own.ours and other.ours:
                        counts = counts_as_gain(own.ours, other.ours)
                        cells[name] = replace(own, gain=summarise_gains(gains), counts=counts)
            filled |= {(part.name, row.name, name): cell for name, cell in cells.items()}
    return filled


def results_table(results: Results) -> str:
    """A Markdown table of models that no published table knows, a column a collection. The rows below the first have
    their gain over it."""
    names = list(results)
    columns = [Column(name) for name in dict.fromkeys(column for row in results.values() for column in row)]
    seeds = max((len(runs) for row in results.values() for runs in row.values()), default=1)
    table = Table(
        title="Mean average precision of the test queries",
        seeds=list(range(seeds)),
        baseline=names[0],
        parts=[Part("collections", "By collection", columns, mean=len(columns) > 1)],
        rows=[Row(name, label=name, run="{seed}", training=None, authors={}) for name in names],
        metric="MAP",
        drawn="queries",
    )
    return to_markdown(table, fill_map_table(table, results))


def _check_names(table: Table, results: Results) -> None:
    rows = [row.name for row in table.rows]
    columns = list(dict.fromkeys(column.name for part in table.parts for column in part.columns))
    found_columns = dict.fromkeys(column for row in results.values() for column in row)
    for what, found, known in (("row", results, rows), ("column", found_columns, columns)):
        if unknown := [name for name in found if name not in known]:
            raise UsageError(
                f"{table.title}: there is no {what} {unknown[0]!r}; expected one of its {what}s: {', '.join(known)}"
            )


def _over_seeds(
    row: str, part: Part, results: Mapping[str, Sequence[Mapping[str, float]]]
) -> dict[str, dict[str, float]]:
    """By column the mean over the seeds of each query's average precision; only the columns that have any."""
    means = {}
    for column in part.columns:
        if runs := results.get(column.name):
            differ = set().union(*runs) - set(runs[0]).intersection(*runs)
            if differ or not runs[0]:
                found = f"{len(differ)} queries are in some of its runs only" if differ else "its runs have no queries"
                raise InputError(f"{row}, {column.name}: {found}; {_MADE_BY}")
            means[column.name] = {query: float(np.mean([run[query] for run in runs])) for query in runs[0]}
    return means


def _cells(
    table: Table,
    part: Part,
    row: Row,
    results: Mapping[str, Sequence[Mapping[str, float]]],
    queries: Mapping[str, Mapping[str, float]],
) -> dict[str, Cell]:
    """The cells of a row by the name of the column, as yet without gains."""
    authors = row.authors.get(part.name, {})
    cells, values = {}, []
    for column in part.columns:
        cells[column.name] = Cell(authors=authors.get(column.name))
        if column.name in queries:
            runs, number = results[column.name], len(queries[column.name])
            values.append([mean_average_precision(run) for run in runs])
            cells[column.name] = replace(
                cells[column.name],
                ours=estimate(values[-1]),
                seeds=len(runs),
                items=number,
                complete=number >= paper_items(column),
                metric=table.metric,
                interval=summarise(bootstrap_means(queries[column.name])),
            )
    if part.mean:
        mean = mean_cell(list(cells.values()), authors, values)
        if mean.ours and (drawn := bootstrap_means(*queries.values())) is not None:
            mean = replace(mean, interval=summarise(drawn))
        cells[MEAN] = mean
    return cells


def _gains(
    part: Part, row: str, ours: Mapping[str, Mapping[str, float]], theirs: Mapping[str, Mapping[str, float]]
) -> dict[str, np.ndarray]:
    """The gains in samples of the queries for each column that both rows have, and for the mean where these are all."""
    both = [column.name for column in part.columns if column.name in ours and column.name in theirs]
    gains = {name: paired_gains(ours[name], theirs[name], f"{row}, {name}") for name in both}
    if part.mean and len(both) == len(part.columns):
        differences = ({query: ours[name][query] - theirs[name][query] for query in ours[name]} for name in both)
        if (drawn := bootstrap_means(*differences)) is not None:
            gains[MEAN] = drawn
    return gains
