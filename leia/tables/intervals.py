"""How sure a number is: the t interval over training seeds, the paper's criterion, the paired bootstrap over items."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from leia.base.errors import InputError
from leia.evaluation.results import TaskResult

BOOTSTRAP_SAMPLES = 10_000
_DRAWN_AT_ONCE = 2_000_000
"""Items, some 50 MB."""


@dataclass(frozen=True)
class Estimate:
    """A mean and the half width of its 95% interval, None where it is not known (one seed)."""

    mean: float
    half_width: float | None = None


@dataclass(frozen=True)
class Gain:
    """Difference to the baseline on the same items, its 95% bootstrap interval, and p, the share of samples <= 0."""

    difference: float
    low: float
    high: float
    p_value: float


def estimate(values: Sequence[float]) -> Estimate:
    """Mean of one value a seed, with the 95% t interval where there are at least two."""
    from scipy.stats import t

    mean = float(np.mean(values))
    if len(values) < 2:
        return Estimate(mean)
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return Estimate(mean, float(t.ppf(0.975, len(values) - 1)) * error)


def counts_as_gain(candidate: Estimate, baseline: Estimate) -> bool | None:
    """The paper's criterion: the lower end is above the baseline's upper end. None without both intervals."""
    if candidate.half_width is None or baseline.half_width is None:
        return None
    return candidate.mean - candidate.half_width > baseline.mean + baseline.half_width


def bootstrap_gains(
    candidate: Sequence[TaskResult], baseline: Sequence[TaskResult], metric: str | None = None
) -> np.ndarray | None:
    """Gains in `BOOTSTRAP_SAMPLES` samples of a task's items, paired by id; the last entry is the gain itself.

    An item's score is its mean over the seeds under `metric` (None: the task's first); None where the metric is not the
    mean over the items' own values, so that there is nothing to draw from. The draw depends on the number of items
    alone: parallel items of several languages are drawn together, and the mean of the languages' samples is a sample of
    their mean. Raises `InputError` when the items differ.
    """
    ours, theirs = _scores(candidate, metric), _scores(baseline, metric)
    if ours is None or theirs is None:
        return None
    return paired_gains(ours, theirs, candidate[0].about["task"])


def paired_gains(ours: Mapping[str, float], theirs: Mapping[str, float], what: str = "results") -> np.ndarray:
    """Gains in `BOOTSTRAP_SAMPLES` samples of the items, of which each has a score in both; the last entry is the gain
    itself. Raises `InputError` when the items differ; it begins with `what`."""
    if ours.keys() != theirs.keys():
        raise InputError(
            f"{what}: {len(ours.keys() ^ theirs.keys())} items are in some results only; evaluate all again"
        )
    differences = np.array([ours[key] - theirs[key] for key in sorted(ours)])
    drawn = np.random.default_rng(0).integers(0, len(differences), (BOOTSTRAP_SAMPLES, len(differences)))
    return np.append(differences[drawn].mean(axis=1), differences.mean())


def bootstrap_means(*columns: Mapping[str, float]) -> np.ndarray | None:
    """The mean of item scores in `BOOTSTRAP_SAMPLES` samples of the items; the last entry is the mean itself.

    Of several columns it is the mean of their means, and an item that stands in several of them (a query that was put
    to several collections, say) is drawn for all of them together. None where a sample has no item of some column.
    """
    ids = sorted(set().union(*columns))
    values = np.array([[column.get(key, np.nan) for column in columns] for key in ids])
    there = (~np.isnan(values)).astype(float)
    values = np.nan_to_num(values)
    generator = np.random.default_rng(0)
    at_once = max(1, _DRAWN_AT_ONCE // len(ids))
    means = []
    for start in range(0, BOOTSTRAP_SAMPLES, at_once):
        samples = min(at_once, BOOTSTRAP_SAMPLES - start)
        drawn = generator.integers(0, len(ids), (samples, len(ids))) + len(ids) * np.arange(samples)[:, None]
        times = np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape)
        sizes = times @ there
        if not sizes.all():
            return None
        means.append((times @ values / sizes).mean(axis=1))
    return np.append(np.concatenate(means), (values.sum(axis=0) / there.sum(axis=0)).mean())


def summarise_gains(gains: np.ndarray) -> Gain:
    """What `bootstrap_gains` returns, or the mean of several such, in four numbers."""
    samples, difference = gains[:-1], gains[-1]
    low, high = np.quantile(samples, [0.025, 0.975])
    return Gain(float(difference), float(low), float(high), float(np.mean(samples <= 0)))


def _scores(results: Sequence[TaskResult], metric: str | None) -> dict[str, float] | None:
    """The mean over the seeds of each item's value."""
    scores: dict[str, list[float]] = {}
    for result in results:
        name = metric or next(iter(result.metrics))
        values = [item.metrics.get(name) for item in result.items]
        if None in values or abs(float(np.mean(values)) - result.value(name)) > 1e-6:
            return None
        for item, value in zip(result.items, values, strict=True):
            scores.setdefault(item.id, []).append(value)
    return {key: float(np.mean(values)) for key, values in scores.items()}
