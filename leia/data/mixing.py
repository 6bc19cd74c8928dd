"""One stream from several sources: each block comes from one of them, in turns that follow their weights.

A source gives the blocks that it would give alone, in the same order. So a source more, or another weight, changes only
whose turn it is. No random number decides that.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

import torch
from torch.utils.data import IterableDataset, get_worker_info

from leia.data.packing import LeiaConstantLengthDataset, rank_and_ranks


def turn(weights: Sequence[int], given: Sequence[int]) -> int:
    """Which source gives the next block, where source k has weight `weights[k]` and gave `given[k]` blocks so far.

    After n blocks a source with the share w of the weights has given more than w * n - 1 and less than w * n + 1. Its
    block j (from 0) may come once w * n has passed j, and must have come before w * n passes j + 1; of those that may
    come the one is taken that must come first, or stands first in the list. That this never fails is known of tasks
    that share a processor (Baruah and others, "Proportionate progress", Algorithmica 1996).
    """
    total, block = sum(weights), sum(given)
    latest = (
        (-(-(done + 1) * total // weight), k)
        for k, (weight, done) in enumerate(zip(weights, given, strict=True))
        if weight and done * total < weight * (block + 1)
    )
    return min(latest)[1]


class MixedDataset(IterableDataset):
    """Yields the blocks of several streams without end, each with `source`, the number of its source (a LongTensor
    without axes): the order of `sources`, from 0.

    As for one stream, rank r of n gets the blocks r, r + n, r + 2n, ..., the first loader worker makes all of them, and
    `state_dict()` is where the iterator made last stands. `given` is how many blocks each source has given until there,
    on all ranks together.

    Raises `ValueError` for weights that are negative, no numbers or all zero, and for other than one a source.
    """

    def __init__(self, sources: Mapping[str, LeiaConstantLengthDataset], weights: Sequence[float]) -> None:
        if len(weights) != len(sources):
            raise ValueError(f"there are {len(sources)} sources and {len(weights)} weights; expected one weight each")
        self.sources = dict(sources)
        self._weights = whole_weights(weights)
        self.given = [0] * len(weights)
        self._start = list(self.given)

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        worker = get_worker_info()
        if worker is not None and worker.id > 0:
            return
        rank, num_ranks = rank_and_ranks()
        streams = list(self.sources.values())
        blocks = [stream.token_blocks() for stream in streams]
        numbers = list(torch.arange(len(streams)))  # making one with each block took 4% of its time
        given = self.given = list(self._start)
        while True:
            for of_rank in range(num_ranks):
                source = turn(self._weights, given)
                tokens = next(blocks[source])
                given[source] += 1
                if of_rank == rank:
                    mine = streams[source].block(tokens) | {"source": numbers[source]}
            yield mine

    def state_dict(self) -> dict[str, Any]:
        return {
            "weights": self._weights,
            "given": list(self.given),
            "sources": {name: stream.state_dict() for name, stream in self.sources.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Start from `state`. Raises `ValueError` when it is the state of other sources."""
        saved = dict(zip(state.get("sources", {}), state.get("weights", ()), strict=False))
        mine = dict(zip(self.sources, self._weights, strict=True))
        if list(saved.items()) != list(mine.items()):
            raise ValueError(f"the saved stream had the sources and weights {saved} (now {mine})")
        for name, stream in self.sources.items():
            stream.load_state_dict(state["sources"][name])
        self._start = list(state["given"])
        self.given = list(self._start)


def whole_weights(weights: Sequence[float]) -> list[int]:
    """The least whole numbers in the proportions of `weights`, each taken as its decimal digits say. Raises
    `ValueError` for those that are negative, no numbers or all zero."""
    for weight in weights:
        if not (math.isfinite(weight) and weight >= 0):
            raise ValueError(f"a weight is {weight}; expected a number of at least 0")
    exact = [Fraction(str(weight)) for weight in weights]
    if not any(exact):
        raise ValueError("all weights are 0; expected at least one above 0")
    multiple = math.lcm(*(weight.denominator for weight in exact))
    numbers = [int(weight * multiple) for weight in exact]
    common = math.gcd(*numbers)
    return [number // common for number in numbers]
