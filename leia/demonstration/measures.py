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

import numpy as np

from leia.base.errors import InputError
from leia.demonstration.world import ASKED
from leia.evaluation.entity_names import NAMES_RIGHT
from leia.evaluation.results import TaskResult, check_models, of_status, read_result, result_path
from leia.tables.definition import Row, Table
from leia.tables.intervals import BOOTSTRAP_SAMPLES, Estimate, estimate

TASK = "crosslingual_facts_qaa"
QUESTIONS = {
    "bare": ("", "acc"),
    "given": ("+given", "acc"),
    "written": ("+written", "acc"),
    "names_right": ("+written", NAMES_RIGHT),
    "english": ("", "acc_pivot"),
    "transfer": ("", "transfer"),
    "rankc": ("", "rankc"),
}
"""What stands behind the task's name, and the metric. A bridge has no other name to be asked with."""

LEAST_ENGLISH, LEAST_BRIDGE = 0.95, 0.8
"""What a base model must know."""


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
        """The mean with its 95% t interval."""
        return estimate(list(self.by_seed.values()))


Arms = dict[str, dict[str, Measure]]
"""By the name of the row, then that of the measure."""


def read_arms(table: Table, results_dir: Path) -> Arms:
    """The rows of the table that have results, each with the measures that it has."""
    arms = {row.name: dict(_measures(row, table.seeds, results_dir)) for row in table.rows}
    return {name: measures for name, measures in arms.items() if measures}


def differences(arms: Arms, other: str, measure: str) -> dict[str, Estimate]:
    """What each arm has over the arm `other` in a measure, paired by seed; 95% t intervals over seeds."""
    theirs = arms[other][measure].by_seed if measure in arms.get(other, {}) else {}
    found = {}
    for name, measures in arms.items():
        own = measures[measure].by_seed if measure in measures and name != other else {}
        if pairs := [value - theirs[seed] for seed, value in own.items() if seed in theirs]:
            found[name] = estimate(pairs)
    return found


def check_base(results_dir: Path) -> str:
    """What a base model knows, in a line. Raises `InputError` where no arm could show anything: where it does not know
    the facts in English, or does not understand the invented language."""
    result = read_result(result_path(results_dir, TASK, 0))
    stated = [item for status in ("held_out", "trained", "bridge") for item in of_status(result, status).items]
    english = float(np.mean([item.metrics["acc_pivot"] for item in stated]))
    bridge = of_status(result, "bridge").value("acc")
    for what, share, least in (
        ("of the facts that it read in English it knows", english, LEAST_ENGLISH),
        ("of the facts of bridges, asked in the invented language, it knows", bridge, LEAST_BRIDGE),
    ):
        if share < least:
            raise InputError(
                f"{results_dir}: the base model could show nothing: {what} {share:.3f}, expected at least {least}; "
                "train it longer (max_steps), or on a larger world (base_sentences)"
            )
    return f"the base model knows {english:.3f} of the facts in English, {bridge:.3f} of those of bridges in the other"


def _measures(row: Row, seeds: Sequence[int], results_dir: Path) -> Iterator[tuple[str, Measure]]:
    folders = {seed: results_dir / row.run.format(language="qaa", seed=seed) for seed in seeds}
    for mode in dict.fromkeys(mode for mode, _ in QUESTIONS.values()):
        paths = {seed: result_path(folder, f"{TASK}{mode}", 0) for seed, folder in folders.items()}
        results = {seed: read_result(path) for seed, path in paths.items() if path.exists()}
        check_models({paths[seed]: result for seed, result in results.items()})
        for status in ASKED if results else ():
            of_seed = {seed: of_status(result, status) for seed, result in results.items()}
            for question, (asked, metric) in QUESTIONS.items():
                if asked == mode and not (mode and status == "bridge"):
                    yield f"{status}_{question}", _measure(of_seed, metric)


def _measure(results: dict[int, TaskResult], metric: str) -> Measure:
    generator = np.random.default_rng(0)
    means = np.mean([_draw(result, metric, generator) for result in results.values()], axis=0)
    low, high = np.nanquantile(means, [0.025, 0.975]) if not np.isnan(means).all() else (math.nan, math.nan)
    values = {seed: result.value(metric) for seed, result in results.items()}
    chances = [_chance(result, metric) for result in results.values()]
    return Measure(values, float(low), float(high), float(np.mean(chances)))


def _draw(result: TaskResult, metric: str, generator: np.random.Generator) -> np.ndarray:
    """The metric in `BOOTSTRAP_SAMPLES` samples of the items that it counts. (Each seed has facts of its own, so items
    are drawn in each by themselves; `leia.tables.knowledge` draws those that all seeds have.)"""
    values = np.array([value for item in result.items if (value := item.metrics.get(metric)) is not None])
    if not len(values):
        return np.full(BOOTSTRAP_SAMPLES, math.nan)
    # How often each value is drawn: the same as drawing items, without an array of samples by items.
    found, counts = np.unique(values, return_counts=True)
    return generator.multinomial(len(values), counts / len(values), BOOTSTRAP_SAMPLES) @ found / len(values)


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
