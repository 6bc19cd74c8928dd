"""Where a stream of blocks continues, in plain JSON types and back."""

import random
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass
class StreamPosition:
    """Where a stream continues: the next article of this epoch's order, the generator, the tokens of the next block
    (those of names marked where tags do not tell them)."""

    rng: random.Random
    epoch: int = 0
    article: int = 0
    carried: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    def as_dict(self) -> dict[str, Any]:
        version, internal, gauss = self.rng.getstate()
        return {
            "epoch": self.epoch,
            "article": self.article,
            "rng": [version, list(internal), gauss],
            "carried": self.carried.tolist(),
        }

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> "StreamPosition":
        version, internal, gauss = state["rng"]
        rng = random.Random()
        rng.setstate((version, tuple(internal), gauss))
        return cls(rng, state["epoch"], state["article"], np.array(state["carried"], dtype=np.int64))
