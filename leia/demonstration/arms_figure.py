"""The figure of a demonstration: a panel a measure, a line an arm, intervals over seeds, and what guessing gives."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from leia.demonstration.measures import Arms, Measure
from leia.demonstration.summary import as_numbers
from leia.reports.figures import COLOURS, tidy

PANELS = {
    "held_out_bare": "English-only facts,\nasked by the bare name",
    "held_out_given": "... with the English\nname given",
    "held_out_written": "... with the name that\nthe model writes",
    "held_out_names_right": "names written rightly",
    "held_out_english": "the same facts,\nasked in English",
    "trained_bare": "facts of both languages,\nbare name",
    "unknown_bare": "facts of neither,\nbare name (control)",
    "unknown_written": "... with the name that\nthe model writes (control)",
}
_MOST_DOTS = 12


def draw_arms(arms: Arms, labels: dict[str, str]) -> Figure:
    """`labels` by the names of the arms, in the order of the lines from above. A small dot is a seed, the bar the 95% t
    interval over them; dashed: guessing; dotted: what the arms know in English on average, the most that can carry
    over."""
    names = [name for name in labels if name in arms]
    figure = Figure(figsize=(12.5, 1.6 + 2 * (0.7 + 0.24 * len(names))), layout="constrained")
    panels = figure.subplots(2, (len(PANELS) + 1) // 2, sharey=True).ravel()
    for panel, (measure, title) in zip(panels, PANELS.items(), strict=False):
        for place, name in enumerate(names):
            if measure in arms[name]:
                _draw(panel, place, arms[name][measure], COLOURS[place % len(COLOURS)])
        _draw_lines(panel, [arms[name] for name in names], measure)
        panel.set_title(title, fontsize=9, loc="left")
        panel.set_xlim(-0.02, 1.02)
        panel.set_yticks(range(len(names)), [labels[name] for name in names], fontsize=8)
        panel.tick_params(axis="x", labelsize=8)
        tidy(panel, axis="x", color="0.92")
    panels[0].invert_yaxis()
    seeds = max(len(measure.by_seed) for measures in arms.values() for measure in measures.values())
    figure.suptitle(
        f"An invented world, {seeds} seeds: share answered rightly (bars: 95% intervals over seeds; dashed: chance; "
        "dotted: known in English)",
        fontsize=10,
    )
    return figure


def _draw(panel: Axes, place: int, measure: Measure, colour: str) -> None:
    mean, low, high = as_numbers(measure.over_seeds).values()
    values = list(measure.by_seed.values())
    if low is not None:
        panel.plot([low, high], [place, place], color=colour, linewidth=2, alpha=0.6)
    if len(values) <= _MOST_DOTS:
        panel.plot(values, [place] * len(values), ".", color=colour, markersize=4, alpha=0.6)
    panel.plot([mean], [place], "o", color=colour, markersize=6)


def _draw_lines(panel: Axes, arms: list[dict[str, Measure]], measure: str) -> None:
    chances = [arm[measure].chance for arm in arms if measure in arm]
    if chances:
        panel.axvline(chances[0], color="0.3", linestyle="--", linewidth=0.9)
    ceilings = [arm["held_out_english"].over_seeds.mean for arm in arms if "held_out_english" in arm]
    if ceilings and measure in ("held_out_bare", "held_out_given", "held_out_written"):
        panel.axvline(sum(ceilings) / len(ceilings), color="0.3", linestyle=":", linewidth=0.9)
