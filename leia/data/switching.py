"""Names in several languages: for each unit of a text one language is drawn, and its entities get names of that one.

Draws go from the last unit of an article to the first, as those of its entities do (`insert_entity_names`). For names
in one language, all of whose units are switched, nothing more is drawn than there.
"""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from leia.base.datasets import EncodedArticle
from leia.base.errors import InputError, UsageError
from leia.data.insertion import NEVER
from leia.data.units import ANY_OR_ALL, UNITS, candidates_of_units, unit_bounds

LANGUAGE_CHOICES = ("uniform", "sqrt")


@dataclass(frozen=True)
class Switching:
    """`unit`: what shares one language. `candidates`: the languages that name any of its entities, or all of them.
    `weights`: of each language when one of the candidates is drawn, None for equal ones. `probability`: that a unit is
    switched at all. Raises `UsageError` for values out of range."""

    unit: str = "article"
    candidates: str = "any"
    probability: float = 1.0
    weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise UsageError(f"switch_unit is {self.unit}; expected one of {', '.join(UNITS)}")
        if self.candidates not in ANY_OR_ALL:
            raise UsageError(f"candidates is {self.candidates}; expected one of {', '.join(ANY_OR_ALL)}")
        if not 0 <= self.probability <= 1:
            raise UsageError(f"switch_probability is {self.probability}; expected 0 to 1")


def weights_of(choice: str, unit: str, candidates: str, manifest: Mapping[str, Any] | None) -> tuple[float, ...] | None:
    """The weights of the languages under a choice of `LANGUAGE_CHOICES`: equal ones, or the square roots of how many
    units could be switched into each, which the manifest of the dataset says. Raises `InputError` where it does not."""
    if choice == "uniform":
        return None
    try:
        counted = (manifest or {})["switchable_units"][unit][candidates]
    except KeyError:
        raise InputError(
            f"language_choice is {choice}: the manifest of the dataset does not say how many units ({unit}) could be "
            "switched into each language; build it with --name_languages"
            + (" and --sentences" if unit == "sentence" else "")
        ) from None
    return tuple(math.sqrt(number) for number in counted.values())


def switch_names(
    article: EncodedArticle,
    languages: int,
    sentence_starts: np.ndarray | None,
    switching: Switching,
    rng: random.Random,
) -> tuple[list[memoryview], list[float]]:
    """For each entity of `article` its name in the language drawn for its unit, and the number drawn for it; `NEVER`
    where it stays as it is: its unit is not switched, or the language has no name for it.

    `article.names` has `languages` names for each entity, those of the first entity first. For each unit that has an
    entity, from the last to the first: one `random()` where `probability` is below 1 (the unit is switched unless it is
    greater), one `choices` where there are several candidates, in the order of the languages, then one `random()` for
    each entity from its last to its first; they are drawn for a unit that is not switched, too.
    """
    count = len(article.start_positions)
    if not count:
        return [], []
    is_named = np.array([len(name) > 0 for name in article.names]).reshape(count, languages)
    starts = np.zeros(1, dtype=np.int64) if sentence_starts is None else sentence_starts
    bounds = unit_bounds(switching.unit, article.start_positions, starts)
    candidates = candidates_of_units(is_named, bounds, switching.candidates)
    names, draws = [memoryview(b"")] * count, [NEVER] * count
    for unit in reversed(range(len(candidates))):
        is_switched = switching.probability == 1 or rng.random() <= switching.probability
        language = _draw_language(np.flatnonzero(candidates[unit]).tolist(), switching.weights, rng)
        for entity in reversed(range(bounds[unit], bounds[unit + 1])):
            number = rng.random()
            if is_switched and language is not None and is_named[entity, language]:
                names[entity], draws[entity] = article.names[entity * languages + language], number
    return names, draws


def _draw_language(candidates: list[int], weights: Sequence[float] | None, rng: random.Random) -> int | None:
    if len(candidates) < 2:
        return candidates[0] if candidates else None
    return rng.choices(candidates, None if weights is None else [weights[one] for one in candidates])[0]
