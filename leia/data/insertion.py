"""The augmentation itself: English names put beside (or in place of) the entities of one article."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

ENTITY, OPENING, NAME, CLOSING = "entity", "opening", "name", "closing"
Parts = tuple[str, ...]


@dataclass(frozen=True)
class Strategy:
    """`help`: what it does, in a few words. `arrange`: from the parts of an entity (`ENTITY`, its text) and those of a
    name (`OPENING`, `NAME`, `CLOSING`, with the tags) to those that stand in their place, in order."""

    help: str
    arrange: Callable[[Parts, Parts], Parts]

    @property
    def parts(self) -> Parts:
        return self.arrange((ENTITY,), (OPENING, NAME, CLOSING))


STRATEGIES = {
    "left": Strategy("the name before the entity", lambda entity, name: name + entity),
    "right": Strategy("the name behind the entity", lambda entity, name: entity + name),
    "replace": Strategy("the name in place of the entity", lambda entity, name: name),
    "none": Strategy("no name", lambda entity, name: entity),
}
"""Where names go. One entry here is a strategy more: for training, previews and all options."""

WHERE = f"Where names go: {'; '.join(f'{name}: {one.help}' for name, one in STRATEGIES.items())}."

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

    `strategy` is one of `STRATEGIES`. Entity k covers the tokens `start_positions[k]` to `end_positions[k]` (end
    exclusive) and gets `names[k]`. From the last entity to the first, one number is drawn from `rng` (under `none` as
    well); the entity is skipped when it is greater than `prob`. A list gives a list; an array gives an array of int64,
    which holds the tags whatever the width of the ids.

    Raises `ValueError` for an unknown strategy, a `prob` outside 0 to 1, and for entities, inserted or not, that
    overlap, are not in the order of the text or reach beyond its end.
    """
    check_insertion(strategy, prob)
    parts = STRATEGIES[strategy].parts
    # The text in front runs into an entity that stands first, and an entity that stands last into the text behind it.
    first, last = parts[:1] == (ENTITY,), parts[1:][-1:] == (ENTITY,)
    inserts_nothing = parts == (ENTITY,)
    between = parts[first : len(parts) - last]
    draws = draw_numbers(len(start_positions), rng)
    tags = [[], []] if no_separator_tokens else [[start_token_id], [end_token_id]]
    opening, closing = (np.array(tag, dtype=np.int64) for tag in tags)
    pieces: list[Ids] = []
    add = pieces.append
    position = former_end = 0
    for start, end, name, draw in zip(start_positions, end_positions, names, draws, strict=True):
        if not former_end <= start <= end:
            raise ValueError(f"an entity covers the tokens {start} to {end}, the one before it ends at {former_end}")
        former_end = end
        if draw > prob or inserts_nothing:
            continue
        add(input_ids[position : end if first else start])
        for part in between:
            if part is OPENING:
                add(opening)
            elif part is NAME:
                add(~np.asarray(name, dtype=np.int64) if mark_names else name)
            elif part is CLOSING:
                add(closing)
            else:
                add(input_ids[start:end])
        position = start if last else end
    if former_end > len(input_ids):
        raise ValueError(f"an entity ends at token {former_end}, the article has {len(input_ids)}")
    add(input_ids[position:])
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
