"""Knowledge across languages: from the items of `crosslingual_facts` to its four measures, each with a 95% interval.

    results = [read_result(result_path(folder, "crosslingual_facts_ja", 0)) for folder in folders_of_the_seeds]
    runs = [result.items for result in results]
    summarise(draw_measures(runs)["transfer"])               # Interval(value=0.61, low=0.55, high=0.67)
    summarise(draw_measures(by_field(runs, "status")["held_out"])["rankc"])
    summarise_gains(draw_gains(runs, runs_of_the_baseline, "transfer"))

The measures: `acc` and `acc_pivot`, the shares of the facts known in the target language and in the pivot; `transfer`,
the share of those known in the pivot that are known in the target too; `rankc`, the mean over the facts of RankC.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from leia.base.errors import InputError
from leia.evaluation.results import ItemResult, TaskResult
from leia.tables.intervals import BOOTSTRAP_SAMPLES

MEASURES = ("acc", "acc_pivot", "transfer", "rankc")
_DRAWN_AT_ONCE = 2_000_000
"""Items, some 50 MB."""

Runs = Sequence[Sequence[ItemResult]]
"""The items of one task, a list a training seed."""


@dataclass(frozen=True)
class Interval:
    """A measure and its 95% bootstrap interval over items; NaN where no fact is known in the pivot."""

    value: float
    low: float
    high: float


def has_measures(results: Sequence[TaskResult]) -> bool:
    """Whether these are results of `crosslingual_facts`."""
    return all(result.metrics.keys() >= set(MEASURES) for result in results)


def draw_measures(runs: Runs) -> dict[str, np.ndarray]:
    """By measure its value in `BOOTSTRAP_SAMPLES` samples of the items; the last entry is the measure itself. A value
    is the mean over the runs.

    The draw depends on the number of items alone, and items are taken in the order of their ids: the values of two
    models are paired, sample by sample. Raises `InputError` when the runs are of different items, or of another task.
    """
    if len({tuple(sorted(item.id for item in run)) for run in runs}) != 1:
        raise InputError("results of one task are of different items; evaluate all again")
    values = np.stack([_values(run) for run in runs], axis=1)
    return dict(zip(MEASURES, _draw(values.tobytes(), values.shape), strict=True))


def draw_gains(candidate: Runs, baseline: Runs, measure: str) -> np.ndarray | None:
    """What `draw_measures` gives for `measure`, less the baseline's; None where a sample has no value.
    Raises `InputError` when the items differ."""
    ours, theirs = ({item.id for item in runs[0]} for runs in (candidate, baseline))
    if ours != theirs:
        raise InputError(
            f"{len(ours ^ theirs)} items of crosslingual_facts are in some results only; evaluate all again"
        )
    gains = draw_measures(candidate)[measure] - draw_measures(baseline)[measure]
    return None if np.isnan(gains).any() else gains


def summarise(samples: np.ndarray) -> Interval:
    """One of the arrays of `draw_measures` in three numbers; samples without a value do not count."""
    drawn = samples[:-1][~np.isnan(samples[:-1])]
    low, high = np.quantile(drawn, [0.025, 0.975]) if len(drawn) else (np.nan, np.nan)
    return Interval(float(samples[-1]), float(low), float(high))


def by_field(runs: Runs, field: str) -> dict[str, Runs]:
    """The runs cut by a field of their items, `status` or `relation`."""
    found = sorted({item.answer[field] for run in runs for item in run})
    return {value: [[item for item in run if item.answer[field] == value] for run in runs] for value in found}


def _values(run: Sequence[ItemResult]) -> np.ndarray:
    """[items, 4] in the order of the ids: known in the target, in the pivot, in both, RankC."""
    try:
        ordered = [item.metrics for item in sorted(run, key=lambda item: item.id)]
        rows = [(one["acc"], one["acc_pivot"], one["acc"] * one["acc_pivot"], one["rankc"]) for one in ordered]
    except KeyError as error:
        raise InputError(f"expected results of crosslingual_facts, found items without {error}") from error
    return np.array(rows, dtype=float)


@lru_cache(maxsize=128)  # a table asks for each measure by itself
def _draw(content: bytes, shape: tuple[int, int, int]) -> tuple[np.ndarray, ...]:
    """The measures, in the order of `MEASURES`, of an array [items, runs, 4], given as its bytes."""
    number, runs, _ = shape
    values = np.frombuffer(content).reshape(number, -1)
    generator = np.random.default_rng(0)
    at_once = max(1, _DRAWN_AT_ONCE // number)
    sums = []
    for start in range(0, BOOTSTRAP_SAMPLES, at_once):
        samples = min(at_once, BOOTSTRAP_SAMPLES - start)
        drawn = generator.integers(0, number, (samples, number)) + number * np.arange(samples)[:, None]
        times = np.bincount(drawn.ravel(), minlength=samples * number).reshape(samples, number)
        sums.append(times @ values)
    means = np.concatenate([*sums, values.sum(axis=0)[None]]).reshape(-1, runs, 4) / number
    target, pivot, both, rankc = np.moveaxis(means, -1, 0)
    with np.errstate(invalid="ignore"):  # 0 / 0: no fact of the sample is known in the pivot
        return tuple(measure.mean(axis=1) for measure in (target, pivot, both / pivot, rankc))
