"""Which batch comes when: the stream of examples of each objective and pair, and the order in which these take turns.

One iteration is a step of query language modelling for every pair, then a step of relevance ranking for every pair. The
pairs are shuffled before each of both, in the list as the last iteration left it.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.utils.data import DistributedSampler

from leia.retrieval.pair_examples import Example, PairExamples

Place = tuple[str, str]
"""An objective and a pair."""


class PairStream:
    """Batches of the examples of one pair for one objective, without end, for one of several processes.

    Each round starts with new examples (`make` draws which aligned sections are used), in one permutation of places
    for all rounds and processes; process `rank` of `world` takes every `world`-th place. The last batch of a round may
    be smaller. `rng` is what the examples draw from, `masks` what masks are drawn from.
    """

    def __init__(
        self,
        make: Callable[[random.Random], PairExamples],
        batch_size: int,
        rng: random.Random,
        masks: torch.Generator,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.masks = masks
        self._make, self._batch_size, self._rng = make, batch_size, rng
        self._rank, self._world = rank, world
        self._made_with: list[Any] | None = None  # the state of `rng` before the examples of this round
        self._examples: PairExamples | None = None
        self._places: list[int] = []
        self._next = 0

    def batch(self) -> list[Example]:
        """The next examples."""
        if self._next >= len(self._places):
            self._begin_round()
            torch.empty((), dtype=torch.int64).random_(generator=self.masks)  # as a new iterator of a data loader does
        places = self._places[self._next : self._next + self._batch_size]
        self._next += len(places)
        return [self._examples.draw(place) for place in places]

    def _begin_round(self) -> None:
        self._made_with = state_of(self._rng)
        self._examples = self._make(self._rng)
        self._places = list(DistributedSampler(range(len(self._examples)), self._world, self._rank))
        self._next = 0

    def state(self) -> dict[str, Any]:
        """Where the stream is, for JSON, but for the generator `masks`; `restore` goes on from there."""
        return {"made_with": self._made_with, "next": self._next, "rng": state_of(self._rng)}

    def restore(self, state: Mapping[str, Any]) -> None:
        if state["made_with"] is not None:
            set_state(self._rng, state["made_with"])
            self._begin_round()
        self._next = state["next"]
        set_state(self._rng, state["rng"])


class Turns:
    """The order of steps: `iteration` yields the places of one iteration, objective by objective."""

    def __init__(self, pairs: Mapping[str, Sequence[str]], rngs: Mapping[str, random.Random]) -> None:
        self._order = {objective: list(names) for objective, names in pairs.items()}
        self._rngs = rngs

    def iteration(self) -> Iterator[Place]:
        for objective, names in self._order.items():
            self._rngs[objective].shuffle(names)
            yield from [(objective, name) for name in names]

    def state(self) -> dict[str, Any]:
        """For JSON; `restore` goes on from there."""
        rngs = {objective: state_of(rng) for objective, rng in self._rngs.items()}
        return {"order": {objective: list(names) for objective, names in self._order.items()}, "rngs": rngs}

    def restore(self, state: Mapping[str, Any]) -> None:
        for objective, rng in self._rngs.items():
            self._order[objective] = list(state["order"][objective])
            set_state(rng, state["rngs"][objective])


def state_of(rng: random.Random) -> list[Any]:
    """The state of a generator, for JSON."""
    version, numbers, gauss = rng.getstate()
    return [version, list(numbers), gauss]


def set_state(rng: random.Random, state: Sequence[Any]) -> None:
    version, numbers, gauss = state
    rng.setstate((version, tuple(numbers), gauss))
