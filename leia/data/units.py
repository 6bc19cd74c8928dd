"""Units of a text that share one language when names are in several: the article, a sentence, an entity."""

import numpy as np

UNITS = ("article", "sentence", "entity")
ANY_OR_ALL = ("any", "all")


def unit_bounds(unit: str, entity_starts: np.ndarray | list[int], sentence_starts: np.ndarray) -> np.ndarray:
    """The first entity of each unit that has one, and the number of entities at the end; [units + 1]. An entity is of
    the sentence in which it starts; positions are tokens, both ascending."""
    count = len(entity_starts)
    if unit == "entity" or not count:
        return np.arange(count + 1)
    if unit == "article":
        return np.array([0, count])
    sentences = np.searchsorted(sentence_starts, entity_starts, side="right")
    return np.concatenate([[0], np.flatnonzero(np.diff(sentences)) + 1, [count]])


def candidates_of_units(is_named: np.ndarray, bounds: np.ndarray, any_or_all: str) -> np.ndarray:
    """Into which languages each unit can be switched, [units, languages]: those that name any of its entities, or all.

    `is_named`: [entities, languages]; `bounds`: of `unit_bounds`.
    """
    if not len(is_named):
        return is_named
    reduce = np.logical_or if any_or_all == "any" else np.logical_and
    return reduce.reduceat(is_named, bounds[:-1], axis=0)


def count_switchable(is_named: np.ndarray, entity_starts: np.ndarray, sentence_starts: np.ndarray) -> np.ndarray:
    """How many units of an article could be switched into each language, [UNITS, ANY_OR_ALL, languages]."""
    return np.array(
        [
            [
                candidates_of_units(is_named, unit_bounds(unit, entity_starts, sentence_starts), how).sum(axis=0)
                for how in ANY_OR_ALL
            ]
            for unit in UNITS
        ]
    )
