"""The augmentation itself: English names put beside (or in place of) the entities of one article."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

_PLACES: dict[str, Callable[[int, int], tuple[int, int]] | None] = {
    "left": lambda start, end: (start, start),
    "right": lambda start, end: (end, end),
    "replace": lambda start, end: (start, end),
    "none": None,
}
"""For an entity from token `start` to `end`: after which token its name goes, and with which the text continues."""

STRATEGIES = tuple(_PLACES)

Ids = Sequence[int] | np.ndarray


@dataclass(frozen=True)
class Insertion:
    """How names are inserted: where, with which probability, between which tags or (`no_separator_tokens`) between
    none. `ValueError` for an unknown strategy and a probability outside 0 to 1."""

    strategy: str
    prob: float
    start_token_id: int
    end_token_id: int
    no_separator_tokens: bool = False

    def __post_init__(self) -> None:
        check_insertion(self.strategy, self.prob)


def insert_entity_names(
    input_ids: Ids,
    start_positions: Sequence[int],
    end_positions: Sequence[int],
    names: Sequence[Ids],
    *,
    strategy: str,
    prob: float,
    rng: random.Random,
    start_token_id: int,
    end_token_id: int,
    no_separator_tokens: bool = False,
    mark_names: bool = False,
) -> Ids:
    """Return `input_ids` with the names of some entities inserted, each between the two tags (paper, section 2).

    With `no_separator_tokens` the bare names are inserted, without the tags. With `mark_names` their ids are given as
    their complement (`~id`, below 0), so that they can be told from the text (`unmark`).

    `strategy`: `left` inserts before the entity's first token, `right` after its last, `replace` instead of it, `none`
    nowhere. Entity k covers the tokens `start_positions[k]` to `end_positions[k]` (end exclusive) and gets `names[k]`.
    From the last entity to the first, one number is drawn from `rng` (under `none` as well); the entity is skipped
    when it is greater than `prob`. A list gives a list; an array gives an array of int64, which holds the tags
    whatever the width of the ids.

    Raises `ValueError` for an unknown strategy, a `prob` outside 0 to 1, and for entities, inserted or not, that
    overlap, are not in the order of the text or reach beyond its end.
    """
    check_insertion(strategy, prob)
    place = _PLACES[strategy]
    draws = draw_numbers(len(start_positions), rng)
    tags = [[], []] if no_separator_tokens else [[start_token_id], [end_token_id]]
    opening, closing = (np.array(tag, dtype=np.int64) for tag in tags)
    pieces = []
    position = former_end = 0
    for start, end, name, draw in zip(start_positions, end_positions, names, draws, strict=True):
        if not former_end <= start <= end:
            raise ValueError(f"an entity covers the tokens {start} to {end}, the one before it ends at {former_end}")
        former_end = end
        if place is None or draw > prob:
            continue
        cut, following = place(start, end)
        inserted = ~np.asarray(name, dtype=np.int64) if mark_names else name
        pieces += (input_ids[position:cut], opening, inserted, closing)
        position = following
    if former_end > len(input_ids):
        raise ValueError(f"an entity ends at token {former_end}, the article has {len(input_ids)}")
    pieces.append(input_ids[position:])
    augmented = np.concatenate(pieces, dtype=np.int64, casting="unsafe")
    return augmented if isinstance(input_ids, np.ndarray) else augmented.tolist()


def unmark(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The ids of an array that `mark_names` made, and which of them are of inserted names; both of the array's
    shape."""
    names = ids < 0
    return np.where(names, ~ids, ids), names


def draw_numbers(count: int, rng: random.Random) -> list[float]:
    """One number for each of an article's `count` entities: drawn from the last to the first, given from the first."""
    draws = [rng.random() for _ in range(count)]
    draws.reverse()
    return draws


def check_insertion(strategy: str, prob: float) -> None:
    """Raise `ValueError` when `strategy` is not one of `STRATEGIES`, or `prob` not a probability."""
    if strategy not in STRATEGIES:
        raise ValueError(f"unknown entity name insertion strategy {strategy!r}; it is one of {', '.join(STRATEGIES)}")
    if not 0 <= prob <= 1:
        raise ValueError(f"the insertion probability is {prob}; it must lie in 0 to 1")
