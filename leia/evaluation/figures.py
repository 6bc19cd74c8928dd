"""The figure of a filled table: the gain over the baseline row by column, measured and as the authors have it."""

import math
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, NamedTuple

from leia.drawing import COLOURS, save_figure
from leia.evaluation.rendering import Cells, fewer_items
from leia.evaluation.tables import Part, Row, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Point(NamedTuple):
    """A gain and the ends of its 95% interval, which are the gain itself where none is known."""

    column: str
    gain: float
    low: float
    high: float


def draw_gains(table: Table, cells: Cells, path: Path, image_format: str, note: str = "") -> None:
    """Draw the rows below the baseline to `path`, in the `image_format` png or svg.

    Measured gains have the interval of the paired bootstrap over items. The authors' have that of the difference of
    two means over seeds, taken as independent.
    """
    from matplotlib.figure import Figure

    names = [row.name for row in table.rows]
    rows = table.rows[names.index(table.baseline) + 1 :]
    baseline = table.rows[names.index(table.baseline)]
    width = 2.0 + max(len(part.column_names) for part in table.parts) * max(0.8, 0.28 * len(rows))
    figure = Figure(figsize=(max(6.4, width), 1.6 + 2.4 * len(table.parts) + 0.2 * len(rows)), layout="constrained")
    panels = figure.subplots(len(table.parts), 1, squeeze=False)[:, 0]
    for panel, part in zip(panels, table.parts, strict=True):
        _draw_part(panel, part, rows, baseline, cells)
    handles = {
        label: handle for panel in panels for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    if handles:
        remark = "\n".join(wrap(fewer_items(table, cells), 90))
        place = {"loc": "outside lower center", "ncols": 2, "frameon": False, "fontsize": 8}
        figure.legend(handles.values(), handles.keys(), title=remark, title_fontsize=8, **place)
    title = f"{table.title}\nGain over: {baseline.label} (bars: 95% intervals)"
    figure.suptitle(f"{note}\n{title}" if note else title, fontsize=10)
    save_figure(figure, path, image_format)


def _draw_part(panel: "Axes", part: Part, rows: list[Row], baseline: Row, cells: Cells) -> None:
    names = part.column_names
    series = []
    for index, row in enumerate(rows):
        color = COLOURS[index % len(COLOURS)]
        series.append((f"{row.label}, measured", color, None, _measured(part, row, cells)))
        series.append((f"{row.label}, authors", color, "white", _authors(part, row, baseline, cells)))
    series = [entry for entry in series if entry[-1]]
    for place, (label, color, fill_color, points) in enumerate(series):
        offset = 0.8 * ((place + 0.5) / len(series) - 0.5)
        panel.errorbar(
            [names.index(point.column) + offset for point in points],
            [point.gain for point in points],
            [[point.gain - point.low for point in points], [point.high - point.gain for point in points]],
            fmt="D" if fill_color else "o",
            color=color,
            markerfacecolor=fill_color,
            markersize=5,
            capsize=2,
            linewidth=1.2,
            label=label,
        )
    panel.axhline(0, color="0.4", linewidth=0.9)
    panel.set_xticks(range(len(names)), names)
    panel.set_xlim(-0.6, len(names) - 0.4)
    panel.grid(axis="y", color="0.9", linewidth=0.6)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)
    panel.set_title(part.title, fontsize=10, loc="left")
    panel.set_ylabel("gain in accuracy", fontsize=9)


def _measured(part: Part, row: Row, cells: Cells) -> list[Point]:
    gains = [(column, cells[part.name, row.name, column].gain) for column in part.column_names]
    return [Point(column, gain.difference, gain.low, gain.high) for column, gain in gains if gain]


def _authors(part: Part, row: Row, baseline: Row, cells: Cells) -> list[Point]:
    points = []
    for column in part.column_names:
        ours, theirs = cells[part.name, row.name, column].authors, cells[part.name, baseline.name, column].authors
        if ours and theirs:
            gain, width = ours.mean - theirs.mean, math.hypot(ours.half_width or 0.0, theirs.half_width or 0.0)
            points.append(Point(column, gain, gain - width, gain + width))
    return points
