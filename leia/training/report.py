"""The figure of one or more training runs: losses, learning rate, gradient norm and speed by step, as they were logged.

The log is `trainer_state.json`: of a finished run the one in its folder, of a run still going on that of its newest
checkpoint. A continued run has one log of all its steps.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leia.drawing import COLOURS
from leia.errors import InputError
from leia.training.checkpoints import newest_checkpoint, read_json

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOSSES = {"loss": "loss", "loss_text": "loss on text", "loss_names": "loss on inserted names"}
PROGRESS = {
    "learning_rate": "learning rate",
    "grad_norm": "gradient norm before clipping",
    "tokens_per_second": "tokens / second, all processes",
    "mfu": "model FLOPs utilisation",
}
_LINE_STYLES = ("-", "--", ":")
_TICKS: dict[str, Callable[[float, int], str]] = {
    "learning_rate": lambda value, _: f"{value:.1e}".replace("e-0", "e-") if value else "0",
    "tokens_per_second": lambda value, _: f"{value:,.0f}",
    "mfu": lambda value, _: f"{value:.0%}",
}


@dataclass(frozen=True)
class RunLog:
    """`entries`: what `leia.training.metrics` logged, in the order of the steps; `steps`: all that the run is to do."""

    name: str
    entries: list[dict[str, float]]
    steps: int

    def series(self, key: str) -> tuple[list[float], list[float]]:
        """Steps and values of one figure, empty where it was not logged."""
        logged = [(entry["step"], entry[key]) for entry in self.entries if key in entry]
        return [step for step, _ in logged], [value for _, value in logged]

    def describe(self) -> str:
        last = self.entries[-1]
        tokens = f", {last['tokens_seen']:,} tokens" if "tokens_seen" in last else ""
        return f"{self.name}: step {last['step']:,} of {self.steps:,}{tokens}"


def read_log(run_dir: Path) -> RunLog:
    """The log of a run of train.sh. Raises `InputError` where there is none (yet)."""
    newest = newest_checkpoint(run_dir)
    folders = [folder for folder in (run_dir, newest) if folder and (folder / "trainer_state.json").is_file()]
    if not folders:
        raise InputError(
            f"{run_dir}: holds neither trainer_state.json nor a checkpoint; expected the OUTPUT_DIR of a run of "
            "train.sh that has saved a checkpoint (save_steps)"
        )
    path = folders[0] / "trainer_state.json"
    state: Any = read_json(path)
    try:
        entries = [entry for entry in state["log_history"] if "loss" in entry and "step" in entry]
        log = RunLog(run_dir.resolve().name, entries, state["max_steps"])
    except (KeyError, TypeError) as error:
        raise InputError(f"{path}: is no log of train.py ({error!r})") from error
    if not log.entries:
        raise InputError(f"{path}: no step was logged; logging_steps must be at most the {log.steps} steps of the run")
    return log


def draw(runs: Sequence[RunLog]) -> "Figure":
    """A panel for each figure that any of the runs logged, a line for each run; the losses share their axes."""
    from matplotlib.figure import Figure

    rows = [[key for key in row if any(run.series(key)[0] for run in runs)] for row in (LOSSES, PROGRESS)]
    rows = [row for row in rows if row]
    figure = Figure(figsize=(11, 2.7 * len(rows) + 0.22 * len(runs)), layout="constrained")
    for keys, part in zip(rows, figure.subfigures(len(rows), 1, squeeze=False)[:, 0], strict=True):
        panels = part.subplots(1, len(keys), sharey=keys[0] in LOSSES, squeeze=False)[0]
        for panel, key in zip(panels, keys, strict=True):
            _draw_panel(panel, key, runs)
    handles = figure.subfigs[0].axes[0].get_lines()
    names = [run.describe().replace("$", r"\$") for run in runs]
    figure.legend(handles, names, loc="outside lower left", ncols=2, frameon=False, fontsize=9)
    return figure


def _draw_panel(panel: "Axes", key: str, runs: Sequence[RunLog]) -> None:
    for number, run in enumerate(runs):
        steps, values = run.series(key)
        panel.plot(
            steps,
            values,
            _LINE_STYLES[number // len(COLOURS) % len(_LINE_STYLES)],
            color=COLOURS[number % len(COLOURS)],
            linewidth=1.1 + 1.1 * (1 - (number + 1) / len(runs)),  # a line that hides another is the thinner one
            marker="o" if len(steps) == 1 else None,
        )
    panel.set_title((LOSSES | PROGRESS)[key], fontsize=10, loc="left")
    panel.set_xlabel("step", fontsize=9)
    if key == "loss":
        panel.set_ylabel("nats / token", fontsize=9)
    if key in _TICKS:
        panel.yaxis.set_major_formatter(_TICKS[key])
    if key not in LOSSES:
        panel.set_ylim(bottom=0)
    panel.set_xlim(0, max(run.entries[-1]["step"] for run in runs) * 1.02)
    panel.xaxis.get_major_locator().set_params(integer=True)
    panel.tick_params(labelsize=8)
    panel.grid(color="0.92", linewidth=0.6)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)
