"""Knowledge across languages: from the items of `crosslingual_facts` to its four measures, each with a 95% interval.

    results = [read_result(result_path(folder, "crosslingual_facts_ja", 0)) for folder in folders_of_the_seeds]
    runs = [result.items for result in results]
    samples = draw_measures(runs)
    summarise(samples["transfer"])                        # Interval(value=0.61, low=0.55, high=0.67)
    for status, own in by_field(runs, "status").items():  # "held_out", "trained", ...
        summarise(draw_measures(own)["rankc"])
    summarise_gains(draw_measures(leia)["transfer"] - draw_measures(plain)["transfer"])

The measures: `acc` and `acc_pivot`, the shares of the facts known in the target language and in the pivot; `transfer`,
the share of those known in the pivot that are known in the target too; `rankc`, the mean over the facts of RankC.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from leia.base.errors import InputError
from leia.evaluation.results import ItemResult
from leia.tables.intervals import BOOTSTRAP_SAMPLES

MEASURES = ("acc", "acc_pivot", "transfer", "rankc")
_DRAWN_AT_ONCE = 2_000_000
"""Items: some 60 MB."""

Runs = Sequence[Sequence[ItemResult]]
"""The items of one task, a list a training seed."""


@dataclass(frozen=True)
class Interval:
    """A measure and its 95% bootstrap interval over items; NaN where no fact is known in the pivot."""

    value: float
    low: float
    high: float


def draw_measures(runs: Runs, num_samples: int = BOOTSTRAP_SAMPLES) -> dict[str, np.ndarray]:
    """By measure its value in `num_samples` samples of the items; the last entry is the measure itself. A value is the
    mean over the runs.

    The draw depends on the number of items alone, and items are taken in the order of their ids: two models' values
    are paired sample by sample. Raises `InputError` when the runs are of different items, or of another task.
    """
    values = np.stack([_values(run) for run in runs], axis=1)
    if len({tuple(sorted(item.id for item in run)) for run in runs}) != 1:
        raise InputError("the results of one row are of different items; evaluate all again")
    number = len(values)
    generator = np.random.default_rng(0)
    at_once = max(1, _DRAWN_AT_ONCE // values[..., 0].size)
    parts = []
    for start in range(0, num_samples, at_once):
        drawn = generator.integers(0, number, (min(at_once, num_samples - start), number))
        parts.append(values[drawn].mean(axis=1))
    means = np.concatenate([*parts, values.mean(axis=0)[None]])  # [samples + 1, runs, known ... RankC]
    pivot, target, both, rankc = np.moveaxis(means, -1, 0)
    with np.errstate(invalid="ignore"):  # 0 / 0: no fact of the sample is known in the pivot
        measures = (target, pivot, both / pivot, rankc)
    return {name: measure.mean(axis=1) for name, measure in zip(MEASURES, measures, strict=True)}


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
    """[items, 4] in the order of the ids: known in the pivot, in the target, in both, RankC."""
    try:
        ordered = [item.metrics for item in sorted(run, key=lambda item: item.id)]
        rows = [(one["acc_pivot"], one["acc"], one["acc_pivot"] * one["acc"], one["rankc"]) for one in ordered]
    except KeyError as error:
        raise InputError(f"expected results of crosslingual_facts, found items without {error}") from error
    return np.array(rows, dtype=float)
