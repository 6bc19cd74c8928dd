"""What the arms of a demonstration came to: measures of facts by their status, with intervals.

Reads the results that run_table.py has made. A measure is named STATUS_QUESTION:

- STATUS: held_out, trained, unknown, bridge (`leia.demonstration.world`).
- QUESTION: `bare`, `given`, `written`, the share answered rightly in the invented language, by the bare name, with the
  English name beside it, with the name that the model writes there; `names_right`, the share of names written rightly;
  `english`, the share answered rightly in English; `transfer` and `rankc` of the bare name (`crosslingual_facts`).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from leia.base.errors import InputError
from leia.base.text import markdown, markdown_table
from leia.evaluation.entity_names import NAMES_RIGHT
from leia.evaluation.results import TaskResult, check_models, of_status, read_result, result_path
from leia.tables.definition import Row, Table
from leia.tables.intervals import BOOTSTRAP_SAMPLES, Estimate, estimate

TASK = "crosslingual_facts_qaa"
TITLES = {
    "held_out": "Facts that English alone states",
    "trained": "Facts that both languages state",
    "unknown": "Facts that nothing states",
    "bridge": "Facts of bridges that English alone states",
}
"""By the statuses that are asked."""
QUESTIONS = {
    "bare": ("", "acc"),
    "given": ("+given", "acc"),
    "written": ("+written", "acc"),
    "names_right": ("+written", NAMES_RIGHT),
    "english": ("", "acc_pivot"),
    "transfer": ("", "transfer"),
    "rankc": ("", "rankc"),
}
"""How the task is asked, and the metric."""
LEAST_ENGLISH, LEAST_BRIDGE = 0.95, 0.8
"""What a base model must know."""

BASELINES = ("none", "shuffled")
"""Arms that the others are to gain over: names that are not there, names that are another's."""

CLAIMS = ("held_out_bare", "held_out_given", "held_out_written", "held_out_english")
"""Measures whose differences between arms are told."""


@dataclass(frozen=True)
class Measure:
    """One measure of one arm: a value a seed, by the seed; the 95% bootstrap interval of their mean over items within
    seeds; what guessing gives."""

    by_seed: dict[int, float]
    items_low: float
    items_high: float
    chance: float

    @property
    def over_seeds(self) -> Estimate:
        return estimate(list(self.by_seed.values()))

    def as_dict(self) -> dict[str, Any]:
        """`low` and `high` are the ends of the 95% t interval over seeds, None of one seed."""
        low, high = ends(self.over_seeds)
        return {
            "mean": self.over_seeds.mean,
            "low": low,
            "high": high,
            "items_low": self.items_low,
            "items_high": self.items_high,
            "chance": self.chance,
            "seeds": len(self.by_seed),
        }


Arms = dict[str, dict[str, Measure]]
"""By the name of the row, then that of the measure."""


def ends(value: Estimate) -> tuple[float | None, float | None]:
    """The ends of an interval, None where there is none."""
    if value.half_width is None:
        return None, None
    return value.mean - value.half_width, value.mean + value.half_width


def read_arms(table: Table, results_dir: Path) -> Arms:
    """The rows of the table that have results, each with the measures that it has."""
    arms = {row.name: dict(_measures(row, table.seeds, results_dir)) for row in table.rows}
    return {name: measures for name, measures in arms.items() if measures}


def _measures(row: Row, seeds: Sequence[int], results_dir: Path) -> Iterator[tuple[str, Measure]]:
    for mode in dict.fromkeys(mode for mode, _ in QUESTIONS.values()):
        paths = {
            seed: result_path(results_dir / row.run.format(language="qaa", seed=seed), f"{TASK}{mode}", 0)
            for seed in seeds
        }
        results = {seed: read_result(path) for seed, path in paths.items() if path.exists()}
        check_models({paths[seed]: result for seed, result in results.items()})
        for status in TITLES if results else ():
            of_seed = {seed: of_status(result, status) for seed, result in results.items()}
            for question, (asked, metric) in QUESTIONS.items():
                if asked == mode and not (metric == NAMES_RIGHT and status == "bridge"):
                    yield f"{status}_{question}", _measure(of_seed, metric)


def _measure(results: dict[int, TaskResult], metric: str) -> Measure:
    generator = np.random.default_rng(0)
    means = np.mean([_draw(result, metric, generator) for result in results.values()], axis=0)
    low, high = np.nanquantile(means, [0.025, 0.975]) if not np.isnan(means).all() else (math.nan, math.nan)
    values = {seed: result.value(metric) for seed, result in results.items()}
    chances = [_chance(result, metric) for result in results.values()]
    return Measure(values, float(low), float(high), float(np.mean(chances)))


def _draw(result: TaskResult, metric: str, generator: np.random.Generator) -> np.ndarray:
    """The metric in `BOOTSTRAP_SAMPLES` samples of the items that it counts."""
    values = np.array([value for item in result.items if (value := item.metrics.get(metric)) is not None])
    if not len(values):
        return np.full(BOOTSTRAP_SAMPLES, math.nan)
    found, counts = np.unique(values, return_counts=True)
    if len(found) <= 2:  # right or wrong: how often which is drawn has a distribution of its own
        return generator.multinomial(len(values), counts / len(values), BOOTSTRAP_SAMPLES) @ found / len(values)
    drawn = generator.integers(0, len(values), (BOOTSTRAP_SAMPLES, len(values)))
    return values[drawn].mean(axis=1)


def _chance(result: TaskResult, metric: str) -> float:
    """What a guess is worth: of names one of all that the items mark, of answers one of the candidates."""
    if metric == NAMES_RIGHT:
        return 1 / result.about["names"]
    number = len(result.items[0].answer["choices"])
    if metric != "rankc":
        return 1 / number
    # Of the j best in one language a share of j / number is expected among the j best in the other.
    weights = np.exp(-np.arange(number))
    return float(weights @ (np.arange(1, number + 1) / number) / weights.sum())


def check_base(results_dir: Path) -> str:
    """What a base model knows, in a line. Raises `InputError` where no arm could show anything: where the model does not
    know the facts in English, or does not understand the invented language."""
    result = read_result(result_path(results_dir, TASK, 0))
    stated = [of_status(result, status) for status in ("held_out", "trained", "bridge")]
    found = {
        "facts known in English": (
            sum(one.value("acc_pivot") * len(one.items) for one in stated) / sum(len(one.items) for one in stated),
            LEAST_ENGLISH,
        ),
        "facts of bridges known in the invented language": (of_status(result, "bridge").value("acc"), LEAST_BRIDGE),
    }
    for what, (share, least) in found.items():
        if share < least:
            raise InputError(
                f"{results_dir}: {what}: {share:.3f}, expected at least {least}; no arm can show anything. Train the base "
                "model longer, or let it read more"
            )
    return ", ".join(f"{what}: {share:.3f}" for what, (share, _) in found.items())


def differences(arms: Arms, other: str) -> dict[str, dict[str, Estimate]]:
    """What each arm's claims have over those of the arm `other`, paired by seed; 95% t intervals over seeds."""
    found: dict[str, dict[str, Estimate]] = {}
    for name, measures in arms.items():
        for claim in CLAIMS if name != other and other in arms else ():
            if claim in measures and claim in arms[other]:
                theirs = arms[other][claim].by_seed
                pairs = [value - theirs[seed] for seed, value in measures[claim].by_seed.items() if seed in theirs]
                if pairs:
                    found.setdefault(name, {})[claim] = estimate(pairs)
    return found


def as_markdown(arms: Arms, labels: dict[str, str]) -> str:
    """The measures of all arms as tables, and the differences of the claims to each of the `BASELINES`."""
    chance = {name: measure.chance for measures in arms.values() for name, measure in measures.items()}
    blocks = []
    for status, title in TITLES.items():
        names = [f"{status}_{question}" for question in QUESTIONS if f"{status}_{question}" in chance]
        head = ["", *(f"{name.removeprefix(f'{status}_')} ({chance[name]:.3f})" for name in names)]
        rows = [
            [markdown(labels[arm]), *(_cell(measures.get(name)) for name in names)] for arm, measures in arms.items()
        ]
        blocks.append(f"**{title}**, by how they are asked (chance):\n\n{markdown_table(head, rows)}")
    for other in BASELINES:
        found = differences(arms, other)
        head = ["", *(claim.removeprefix("held_out_") for claim in CLAIMS)]
        rows = [
            [markdown(labels[arm]), *(_difference(claims.get(claim)) for claim in CLAIMS)]
            for arm, claims in found.items()
        ]
        if rows:
            blocks.append(
                f"**Facts that English alone states**, less the arm {labels[other]!r}, paired by seed:\n\n"
                f"{markdown_table(head, rows)}"
            )
    return "\n".join(blocks)


def _cell(measure: Measure | None) -> str:
    if measure is None or math.isnan(measure.over_seeds.mean):
        return "–"
    value = measure.over_seeds
    return f"{value.mean:.3f}" + ("" if value.half_width is None else f" ±{value.half_width:.3f}")


def _difference(value: Estimate | None) -> str:
    if value is None:
        return "–"
    return f"{value.mean:+.3f}" + ("" if value.half_width is None else f" ±{value.half_width:.3f}")
