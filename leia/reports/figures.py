"""Figures: the gains of a filled table over its baseline, and what training runs logged in `trainer_state.json`.

Of a run that has not ended that of its newest checkpoint is read. A continued run has one log of all its steps.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from leia.base.errors import InputError
from leia.base.outputs import new_file
from leia.base.text import read_json
from leia.tables.definition import Part, Row, Table
from leia.tables.rendering import Cells, fewer_items
from leia.training.checkpoints import LOG_FILE, newest_checkpoint

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#444444")
"""Told apart by colour-blind readers too (after Okabe and Ito, without their yellow, which white paper swallows)."""


def save_figure(figure: Figure, path: Path) -> None:
    """Write `figure` to `path`, which ends in .svg, .png or .pdf; the same bytes for the same figure."""
    image_format = path.suffix.removeprefix(".")
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}
    with rc_context({"svg.hashsalt": "leia"}), new_file(path) as partial:
        figure.savefig(partial, format=image_format, metadata=undated[image_format], dpi=160)


def tidy(panel: Axes, **grid: Any) -> None:
    """Take away the frame above and on the right; draw a thin `grid` below the data where one is described."""
    if grid:
        panel.grid(linewidth=0.6, **grid)
        panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)


def draw_gains(table: Table, cells: Cells, note: str = "") -> Figure:
    """The gains of the rows below the baseline, a panel for each part of the table.

    Measured gains have the interval of the paired bootstrap over items. The authors' have that of the difference of
    two means over seeds, taken as independent.
    """
    rows, baseline = table.rows[table.baseline_place + 1 :], table.rows[table.baseline_place]
    width = 2.0 + max(len(part.column_names) for part in table.parts) * max(0.8, 0.28 * len(rows))
    figure = Figure(figsize=(max(6.4, width), 1.6 + 2.4 * len(table.parts) + 0.2 * len(rows)), layout="constrained")
    panels = figure.subplots(len(table.parts), 1, squeeze=False)[:, 0]
    handles: dict[str, Any] = {}
    for panel, part in zip(panels, table.parts, strict=True):
        _draw_part(panel, part, rows, baseline, cells)
        drawn, labels = panel.get_legend_handles_labels()
        handles |= zip(labels, drawn, strict=True)
    if handles:
        remark = "\n".join(wrap(fewer_items(table, cells), 90))
        place = {"loc": "outside lower center", "ncols": 2, "frameon": False, "fontsize": 8}
        figure.legend(handles.values(), handles.keys(), title=remark, title_fontsize=8, **place)
    title = f"{table.title}\nGain over: {baseline.label} (bars: 95% intervals)"
    figure.suptitle(f"{note}\n{title}" if note else title, fontsize=10)
    return figure


def _series(
    part: Part, rows: Sequence[Row], baseline: Row, cells: Cells
) -> list[tuple[dict[str, str], list[tuple[int, float, float, float]]]]:
    """Of each row what was measured and the authors' numbers, where there are any: a style for the drawing, and the
    gains (place of the column, gain, both ends of its interval, which are the gain itself where none is known)."""
    series = []
    for index, row in enumerate(rows):
        measured, published = [], []
        for place, column in enumerate(part.column_names):
            cell, other = cells[part.name, row.name, column], cells[part.name, baseline.name, column]
            if cell.gain:
                measured.append((place, cell.gain.difference, cell.gain.low, cell.gain.high))
            if cell.authors and other.authors:
                gain = cell.authors.mean - other.authors.mean
                width = math.hypot(cell.authors.half_width or 0.0, other.authors.half_width or 0.0)
                published.append((place, gain, gain - width, gain + width))
        style = {"color": COLOURS[index % len(COLOURS)]}
        series.append((style | {"label": f"{row.label}, measured", "fmt": "o"}, measured))
        hollow = {"label": f"{row.label}, authors", "fmt": "D", "markerfacecolor": "white"}
        series.append((style | hollow, published))
    return [(style, gains) for style, gains in series if gains]


def _draw_part(panel: Axes, part: Part, rows: Sequence[Row], baseline: Row, cells: Cells) -> None:
    series = _series(part, rows, baseline, cells)
    for number, (style, points) in enumerate(series):
        places, gains, lows, highs = np.array(points).T
        offset = 0.8 * ((number + 0.5) / len(series) - 0.5)
        errors = np.maximum(0, [gains - lows, highs - gains])  # on a few items a gain may lie outside its own samples
        panel.errorbar(places + offset, gains, errors, **style, markersize=5, capsize=2, linewidth=1.2)
    panel.axhline(0, color="0.4", linewidth=0.9)
    panel.set_xticks(range(len(part.column_names)), part.column_names)
    panel.set_xlim(-0.6, len(part.column_names) - 0.4)
    tidy(panel, axis="y", color="0.9")
    panel.set_title(part.title, fontsize=10, loc="left")
    others = {column.metric for column in part.columns} - {None, "acc"}
    panel.set_ylabel("gain" if others else "gain in accuracy", fontsize=9)


LOSSES = {"loss": "loss", "loss_text": "loss on text", "loss_names": "loss on inserted names"}
PROGRESS = {
    "learning_rate": "learning rate",
    "grad_norm": "gradient norm before clipping",
    "tokens_per_second": "tokens / second, all processes",
    "mfu": "model FLOPs utilisation",
}
_TICKS: dict[str, Callable[[float, int], str]] = {
    "learning_rate": lambda value, _: f"{value:.1e}".replace("e-0", "e-") if value else "0",
    "tokens_per_second": lambda value, _: f"{value:,.0f}",
    "mfu": lambda value, _: f"{value:.0%}",
}


@dataclass(frozen=True)
class RunLog:
    """`entries`: what `leia.training.metrics` logged, in the order of the steps; `steps`: all that the run is to do;
    `evaluations`: what was found on held-out articles and tasks, by names that begin with `eval_`."""

    name: str
    entries: list[dict[str, float]]
    steps: int
    evaluations: list[dict[str, float]] = field(default_factory=list)

    def points(self, key: str) -> tuple[list[float], list[float]]:
        """The steps that logged `key`, and its values."""
        found = [entry for entry in [*self.entries, *self.evaluations] if key in entry]
        return [entry["step"] for entry in found], [entry[key] for entry in found]

    def describe(self) -> str:
        last = self.entries[-1]
        tokens = f", {last['tokens_seen']:,} tokens" if "tokens_seen" in last else ""
        return f"{self.name}: step {last['step']:,} of {self.steps:,}{tokens}"


def read_log(run_dir: Path) -> RunLog:
    """The log of a run of train.sh. Raises `InputError` where there is none (yet)."""
    logs = [folder / LOG_FILE for folder in (run_dir, newest_checkpoint(run_dir)) if folder]
    path = next(filter(Path.is_file, logs), None)
    if path is None:
        raise InputError(
            f"{run_dir}: holds neither {LOG_FILE} nor a checkpoint; expected the OUTPUT_DIR of a run of "
            "train.sh that has saved a checkpoint (save_steps)"
        )
    state = read_json(path, "expected the log of a run of train.sh")
    try:
        entries = [entry for entry in state["log_history"] if "loss" in entry and "step" in entry]
        evaluations = [entry for entry in state["log_history"] if any(name.startswith("eval_") for name in entry)]
        log = RunLog(run_dir.resolve().name, entries, state["max_steps"], evaluations)
    except (KeyError, TypeError) as error:
        raise InputError(f"{path}: expected the log of a run of train.sh, found another file ({error!r})") from error
    if not log.entries:
        raise InputError(f"{path}: no step was logged; logging_steps must be at most the {log.steps} steps of the run")
    return log


def draw_runs(runs: Sequence[RunLog]) -> Figure:
    """A panel for each figure that any of the runs logged, a line for each run; the losses share their axes, and those
    on held-out articles are dashed. Scores on tasks have panels of their own."""
    logged = {key: None for run in runs for entry in [*run.entries, *run.evaluations] for key in entry}
    rows = [keys for row in (LOSSES, PROGRESS) if (keys := [key for key in row if key in logged])]
    scores = [key for key in logged if key.startswith("eval_") and key.removeprefix("eval_") not in LOSSES]
    rows += [scores[start : start + len(PROGRESS)] for start in range(0, len(scores), len(PROGRESS))]
    figure = Figure(figsize=(11, 2.7 * len(rows) + 0.22 * len(runs)), layout="constrained")
    for keys, part in zip(rows, figure.subfigures(len(rows), 1, squeeze=False)[:, 0], strict=True):
        panels = part.subplots(1, len(keys), sharey=keys[0] in LOSSES, squeeze=False)[0]
        for panel, key in zip(panels, keys, strict=True):
            _draw_panel(panel, key, runs)
    handles = figure.subfigs[0].axes[0].get_lines()[: len(runs)]
    names = [run.describe().replace("$", r"\$") for run in runs]
    figure.legend(handles, names, loc="outside lower left", ncols=2, frameon=False, fontsize=9)
    return figure


def _draw_panel(panel: Axes, key: str, runs: Sequence[RunLog]) -> None:
    for number, run in enumerate(runs):
        steps, values = run.points(key)
        round_of_colours, colour = divmod(number, len(COLOURS))
        style = ("-", "--", ":")[round_of_colours % 3] + ("o" if len(steps) == 1 else "")
        width = 1.1 + 1.1 * (1 - (number + 1) / len(runs))  # a line that hides another is the thinner one
        panel.plot(steps, values, style, color=COLOURS[colour], linewidth=width)
    for number, run in enumerate(runs):
        if key in LOSSES and (held_out := run.points(f"eval_{key}"))[0]:
            style = {"color": COLOURS[number % len(COLOURS)], "linewidth": 1, "markersize": 3}
            panel.plot(*held_out, "--o", **style, label="held-out articles")
    panel.set_title((LOSSES | PROGRESS).get(key, key.removeprefix("eval_")), fontsize=10, loc="left")
    panel.set_xlabel("step", fontsize=9)
    if key == "loss":
        panel.set_ylabel("nats / token", fontsize=9)
        if handles := panel.get_legend_handles_labels()[0]:
            panel.legend(handles=handles[:1], frameon=False, fontsize=8)
    if key in _TICKS:
        panel.yaxis.set_major_formatter(_TICKS[key])
    if key not in LOSSES:
        panel.set_ylim(bottom=0)
    panel.set_xlim(0, max(run.entries[-1]["step"] for run in runs) * 1.02)
    panel.xaxis.get_major_locator().set_params(integer=True)
    panel.tick_params(labelsize=8)
    tidy(panel, color="0.92")
