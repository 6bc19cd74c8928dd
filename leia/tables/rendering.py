"""A filled table as Markdown, LaTeX and CSV; the results of one model as plain text."""

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple
from typing import Any

import numpy as np

from leia.base.text import latex, latex_table, markdown, markdown_table, one_line
from leia.evaluation.results import TaskResult
from leia.tables.definition import Part, Table
from leia.tables.intervals import Estimate, Gain, counts_as_gain
from leia.tables.table import Cell, paper_items

Cells = Mapping[tuple[str, str, str], Cell]

CSV_COLUMNS = (
    *("part", "row", "column", "mean", "half_width", "seeds", "items", "items_low", "items_high"),
    *("authors_mean", "authors_half_width", "difference_to_authors"),
    *("gain_over_baseline", "gain_low", "gain_high", "gain_p", "counts_as_gain", "metric"),
)


def to_markdown(table: Table, cells: Cells, note: str = "") -> str:
    """The table with its caption, source and doubts."""
    blocks = [f"# {markdown(table.title)}", *_texts(table, cells, note)]
    for part in table.parts:
        head = ["", *map(markdown, part.column_names)]
        lines = _lines(table, part, cells)
        rows = [[markdown(label), *(f"**{text}**" if bold else text for text, bold in line)] for label, line in lines]
        blocks += [f"## {markdown(part.title)}", markdown_table(head, rows).rstrip()]
    return "\n\n".join(blocks) + "\n"


def to_latex(table: Table, cells: Cells, note: str = "") -> str:
    """One `table` environment a part; needs the package booktabs."""
    blocks = ["".join(f"% {one_line(text)}\n" for text in _texts(table, cells, note)).replace("**", "")]
    for part in table.parts:
        rows = [
            [_tex(label), *(rf"\textbf{{{_tex(text)}}}" if bold else _tex(text) for text, bold in line)]
            for label, line in _lines(table, part, cells)
        ]
        tabular = latex_table(["", *map(_tex, part.column_names)], rows)
        caption = " ".join(filter(None, [note, f"{table.title}: {part.title}.", fewer_items(table, cells)]))
        lines = [r"\begin{table}", r"\centering\small", tabular, rf"\caption{{{_tex(caption)}}}", r"\end{table}", ""]
        blocks.append("\n".join(lines))
    return "\n".join(blocks)


def to_csv(table: Table, cells: Cells) -> str:
    """One line a cell, in long form, numbers unrounded; an empty field is a number that is not known."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for place, cell in cells.items():
        ours = (*astuple(cell.ours), cell.seeds, cell.items or None) if cell.ours else [None] * 4
        interval = (cell.interval.low, cell.interval.high) if cell.interval else [None] * 2
        authors = astuple(cell.authors) if cell.authors else [None] * 2
        gain = astuple(cell.gain) if cell.gain else [None] * 4
        writer.writerow([*place, *ours, *interval, *authors, cell.difference, *gain, cell.counts, cell.metric])
    return buffer.getvalue()


def _texts(table: Table, cells: Cells, note: str) -> list[str]:
    baseline = table.rows[table.baseline_place].label
    texts = [f"**{text}**" for text in (note, fewer_items(table, cells)) if text]
    if not any(cell.ours for cell in cells.values()):
        texts.append("There are no results yet: no number below was measured here.")
    texts.append(
        f"{_metrics(table, cells)}; ±: half width of the 95% t interval over training seeds, where there are several; "
        "n: seeds, where some are still missing. **Bold**: a gain by the paper's criterion, the lower end above the "
        f"upper end of the row {baseline!r}."
    )
    if any(cell.interval for cell in cells.values()):
        texts.append(f"Over items: the 95% bootstrap interval over the {table.drawn}.")
    if any(cell.gain for cell in cells.values()):
        texts.append(
            f"Gain: over the row {baseline!r} on the same items, with its 95% interval by a paired bootstrap over "
            "items; p: the share of bootstrap samples without a gain."
        )
    if table.source:
        texts.append(f"Authors' numbers: {table.source} Doubts: {table.doubt}")
    return texts


def _metrics(table: Table, cells: Cells) -> str:
    """What the cells hold: the table's metric, and which columns or whole parts another one: that which the table
    names, or the first of the task where there are results."""
    others: dict[str, list[str]] = {}
    for part in table.parts:
        metrics = {}
        for column in part.columns:
            found = {cells[part.name, row.name, column.name].metric for row in table.rows} - {""}
            metrics[column.name] = column.metric or " or ".join(sorted(found)) or "acc"
        whole = len(set(metrics.values())) == 1
        for column, metric in metrics.items():
            if metric not in ("acc", table.metric):
                others.setdefault(metric, []).append(part.title if whole else column)
    named = "; ".join(f"{', '.join(dict.fromkeys(columns))}: {metric}" for metric, columns in others.items())
    return f"{table.metric} ({named})" if named else table.metric


def fewer_items(table: Table, cells: Cells) -> str:
    """What was measured on fewer items than in the paper, and what one item is worth there; "" if nothing was."""
    found: dict[tuple[str, int, int], list[str]] = {}
    for part in table.parts:
        for column in part.columns:
            for cell in (cells[part.name, row.name, column.name] for row in table.rows):
                if not cell.complete:
                    what = (column.benchmark or column.name, cell.items, paper_items(column))
                    found.setdefault(what, []).append(column.language)
    groups = [
        f"{benchmark} {f'({known}) ' if (known := ', '.join(dict.fromkeys(filter(None, languages)))) else ''}{items} "
        f"instead of {expected:,}, one item is worth {1 / items:.3f}"
        for (benchmark, items, expected), languages in found.items()
    ]
    return f"Fewer items than in the paper, so no comparison with its numbers: {'; '.join(groups)}." if groups else ""


def _lines(table: Table, part: Part, cells: Cells) -> Iterator[tuple[str, list[tuple[str, bool]]]]:
    """Of each row its own numbers, the authors', the difference, the gain: a label, and the cells, each with whether it
    is bold."""
    for row in table.rows:
        own = [cells[part.name, row.name, column] for column in part.column_names]
        measured, published = any(cell.ours for cell in own), any(cell.authors for cell in own)
        if measured or not published:
            wanted = len(row.runs(part.columns[0], table.seeds))
            seeds = [f" (n={cell.seeds})" if cell.ours and cell.seeds < wanted else "" for cell in own]
            yield (
                row.label,
                [(format_estimate(cell.ours) + n, bool(cell.counts)) for cell, n in zip(own, seeds, strict=True)],
            )
        if any(cell.interval for cell in own):
            yield "· over items", _plain("[{0.low:.3f}, {0.high:.3f}]".format, [cell.interval for cell in own])
        if published:
            line = []
            for column, cell in zip(part.column_names, own, strict=True):
                baseline = cells[part.name, table.baseline, column].authors
                bold = bool(cell.authors and baseline and counts_as_gain(cell.authors, baseline))
                line.append((format_estimate(cell.authors), bold))
            yield "· authors" if measured else f"{row.label}, authors", line
        if any(cell.difference is not None for cell in own):
            yield "· difference", _plain("{:+.3f}".format, [cell.difference for cell in own])
        if any(cell.gain for cell in own):
            interval = "{0.difference:+.3f} [{0.low:+.3f}, {0.high:+.3f}]"
            yield "· gain", _plain(interval.format, [cell.gain for cell in own])
            yield "· p", _plain(_p_value, [cell.gain for cell in own])


def _plain(form: Callable[[Any], str], values: Sequence[Any]) -> list[tuple[str, bool]]:
    return [("–" if value is None else form(value), False) for value in values]


def format_estimate(value: Estimate | None, sign: str = "") -> str:
    """The mean and the half width of its interval; `sign`: "+" shows that of a difference."""
    if value is None:
        return "–"
    return f"{value.mean:{sign}.3f}" + ("" if value.half_width is None else f" ±{value.half_width:.3f}")


def _p_value(gain: Gain) -> str:
    return f"{gain.p_value:.3f}" if gain.p_value >= 0.001 else "<0.001"


def _tex(text: str) -> str:
    """`latex`, and our own signs in its notation."""
    return latex(text).replace("±", r"$\pm$").replace("·", r"\quad ").replace("–", "--")


def format_metrics(results: Sequence[TaskResult]) -> str:
    """A plain table of one model's results, a line a metric, with the mean over the languages of each benchmark."""
    tasks = max([24, *(len(result.about["task"]) for result in results)])
    names = max([12, *(len(metric) for result in results for metric in result.metrics)])
    lines = [f"{'task':<{tasks}} {'shots':>5} {'items':>6}  {'metric':<{names}} {'value':>7} {'std. error':>10}"]
    groups: dict[tuple[str, int, str], list[float]] = {}
    for result in results:
        task, shots = result.about["task"], result.about["num_fewshot"]
        for metric, value in result.metrics.items():
            name, _, way = metric.partition(",")
            stderr = result.about["harness"]["results"][task].get(f"{name}_stderr,{way or 'none'}")
            shown = f"{stderr:>10.3f}" if isinstance(stderr, float) else f"{'-':>10}"
            lines.append(f"{task:<{tasks}} {shots:>5} {len(result.items):>6}  {metric:<{names}} {value:>7.3f} {shown}")
            name, plus, mode = task.partition("+")  # asked with names: `leia.evaluation.entity_names`
            benchmark = name.rpartition("_")[0]
            groups.setdefault((benchmark and benchmark + plus + mode, shots, metric), []).append(value)
    for (benchmark, shots, metric), values in groups.items():
        if benchmark and len(values) > 1:
            lines.append(
                f"{'mean ' + benchmark:<{tasks}} {shots:>5} {'':>6}  {metric:<{names}} {np.mean(values):>7.3f}"
            )
    return "\n".join(lines)
