"""The augmentation itself: English names put beside (or in place of) the entities of one article.

`STRATEGIES` is the table of where names go. One entry more is a strategy more, in every option, help text and check, in
training, in `leia.augment` and in the preview page.
"""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from leia.data.name_spaces import Spaces

Ids = Sequence[int] | np.ndarray | memoryview
_WIDE = np.dtype(np.int64)


@dataclass(frozen=True)
class Strategy:
    """`help`: what it does, in a few words. `place(entity, name, opening, closing)` gives the pieces that stand in the
    text in place of the entity when its name is inserted.

    All four hold token ids: the entity's, the name's, and each tag's one id (none where names go without tags). They
    are memoryviews of 64-bit numbers, which can be cut and turned round (`name[::-1]`). A piece is one of them or made
    of their ids, in any order and number, which may depend on their lengths. Ids of names may come marked (`~id`), and
    stay so: the marks tell afterwards which tokens are of a name.
    """

    help: str
    place: Callable[[memoryview, memoryview, memoryview, memoryview], Sequence[Ids]]

    @cached_property
    def changes_text(self) -> bool:
        """Whether it does anything at all to an entity."""
        return any(placed != entity for entity, placed in self._tried())

    @cached_property
    def tags_tell(self) -> bool:
        """Whether the names are what stands between its tags. Labels and counts go by the tags then, as the published
        ones do; otherwise blocks carry a mask."""
        return all(_tags_tell(placed) for _, placed in self._tried())

    @cached_property
    def tags_between(self) -> tuple[bool, bool]:
        """Whether the opening tag stands between the entity and its name, and whether the closing one does."""
        found = (False, False)
        for _, placed in self._tried():
            for before, tag, behind in zip(placed, placed[1:], placed[2:], strict=False):
                found = (
                    found[0] or (tag == _OPENING and before == 1 and behind < 0),
                    found[1] or (tag == _CLOSING and before < 0 and behind == 1),
                )
        return found

    def _tried(self) -> Iterator[tuple[list[int], list[int]]]:
        """Entities of 1s, and what stands there with a name of 2s, marked, of another or the same length, and tags."""
        for lengths in ((1, 2), (2, 2), (2, 1)):
            entity, name = ([number] * length for number, length in zip((1, ~2), lengths, strict=True))
            pieces = [memoryview(np.array(ids, dtype=_WIDE)) for ids in (entity, name, [_OPENING], [_CLOSING])]
            yield entity, join(self.place(*pieces)).tolist()


_OPENING, _CLOSING = 3, 4


def _tags_tell(placed: list[int]) -> bool:
    in_name = False
    for token in placed:
        in_name = token == _OPENING or (in_name and token != _CLOSING)
        if token not in (_OPENING, _CLOSING) and in_name != (token < 0):
            return False
    return not in_name


STRATEGIES = {
    "left": Strategy(
        "the name before the entity", lambda entity, name, opening, closing: (opening, name, closing, entity)
    ),
    "right": Strategy(
        "the name behind the entity", lambda entity, name, opening, closing: (entity, opening, name, closing)
    ),
    "replace": Strategy(
        "the name in place of the entity", lambda entity, name, opening, closing: (opening, name, closing)
    ),
    "none": Strategy("no name", lambda entity, name, opening, closing: (entity,)),
}


WHERE = f"Where names go: {'; '.join(f'{name}: {one.help}' for name, one in STRATEGIES.items())}."


@dataclass(frozen=True)
class Insertion:
    """How names are inserted: where, with which probability, between which tags or (`no_separator_tokens`) between
    none. `spaces`: of names without tags that have the space of the text, so that one space stands between a name and
    its entity. `ValueError` for an unknown strategy and a probability outside 0 to 1."""

    strategy: str
    prob: float
    start_token_id: int
    end_token_id: int
    no_separator_tokens: bool = False
    spaces: Spaces | None = None

    def __post_init__(self) -> None:
        check_insertion(self.strategy, self.prob)

    @property
    def needs_marks(self) -> bool:
        """Whether only marks tell which tokens are of names: there are no tags, or they stand around something else."""
        return self.no_separator_tokens or not STRATEGIES[self.strategy].tags_tell

    @cached_property
    def tags(self) -> tuple[memoryview, memoryview]:
        """What stands before and behind a name: a tag each, or nothing."""
        tags = [[], []] if self.no_separator_tokens else [[self.start_token_id], [self.end_token_id]]
        opening, closing = (memoryview(np.array(tag, dtype=_WIDE)) for tag in tags)
        return opening, closing

    def between(self, entity: memoryview, name: Ids) -> tuple[memoryview, memoryview]:
        """What stands before and behind a name without tags: a space where it is beside its entity and the second of
        the two does not begin with one."""
        space, nothing = memoryview(np.array(self.spaces.space, dtype=_WIDE)), self.tags[0]
        before, behind = STRATEGIES[self.strategy].tags_between
        begins = self.spaces.begin_word
        return (
            space if before and not begins[name[0]] else nothing,
            space if behind and not begins[entity[0]] else nothing,
        )


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
    insertion = Insertion(strategy, prob, start_token_id, end_token_id, no_separator_tokens)
    draws = draw_numbers(len(start_positions), rng)
    augmented = insert_drawn(input_ids, start_positions, end_positions, names, draws, insertion, mark_names)
    return augmented if isinstance(input_ids, np.ndarray) else augmented.tolist()


NEVER = math.inf
"""A number that no probability reaches: the entity stays as it is."""


def insert_drawn(
    input_ids: Ids,
    start_positions: Sequence[int],
    end_positions: Sequence[int],
    names: Sequence[Ids],
    draws: Sequence[float],
    insertion: Insertion,
    mark_names: bool,
) -> np.ndarray:
    """`insert_entity_names` with the numbers already drawn, one an entity."""
    strategy, prob = STRATEGIES[insertion.strategy], insertion.prob
    place, changes_text = strategy.place, strategy.changes_text
    opening, closing = insertion.tags
    ids = memoryview(np.asarray(input_ids, dtype=_WIDE))
    pieces = []
    position = former_end = 0
    for start, end, name, draw in zip(start_positions, end_positions, names, draws, strict=True):
        if not former_end <= start <= end:
            raise ValueError(f"an entity covers the tokens {start} to {end}, the one before it ends at {former_end}")
        former_end = end
        if draw > prob or not changes_text:
            continue
        if insertion.spaces is not None:
            opening, closing = insertion.between(ids[start:end], name)
        if mark_names or type(name) is not memoryview:
            name = np.asarray(name, dtype=_WIDE)
            name = memoryview(~name if mark_names else name)
        pieces.append(ids[position:start])
        pieces += place(ids[start:end], name, opening, closing)
        position = end
    if former_end > len(ids):
        raise ValueError(f"an entity ends at token {former_end}, the article has {len(ids)}")
    pieces.append(ids[position:])
    return join(pieces)


def join(pieces: Sequence[Ids]) -> np.ndarray:
    """The pieces as one array of int64. Where they are views of int64 their bytes are joined: numpy takes twice as
    long."""
    try:
        joined = bytearray().join(pieces)
    except (TypeError, BufferError):  # a list; a view that is turned round
        joined = bytearray()
    if len(joined) != _WIDE.itemsize * sum(map(len, pieces)):  # or an array of narrower numbers
        return np.concatenate(pieces, dtype=_WIDE, casting="unsafe")
    return np.frombuffer(joined, dtype=_WIDE)


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
