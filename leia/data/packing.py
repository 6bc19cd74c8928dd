"""The training stream: augmented articles, joined (without a separator, unless one is given) and cut into blocks of one
length.

The stream has no end and one order (method: paper, section 2), whatever the number of ranks and of loader workers:

- Rank r of n, in an initialised `torch.distributed` group, gets the blocks r, r + n, r + 2n, ... Every rank packs the
  whole stream, which costs a rank far less time than its model takes. So `accelerate` must not shard it a second time.
- Of several `DataLoader` workers the first makes all blocks.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.distributed
from torch.utils.data import IterableDataset, get_worker_info

from leia.base.datasets import EncodedArticles
from leia.base.errors import InputError
from leia.data.insertion import Insertion, insert_entity_names, unmark

if TYPE_CHECKING:
    from datasets import Dataset


class LeiaConstantLengthDataset(IterableDataset):
    """Yields `{"input_ids": LongTensor[max_length]}` without end, from a dataset of encoded articles.

    With `no_separator_tokens` names stand between no tags (an ablation of the paper). Then, and under a strategy that
    puts something else than names between them, a block has `entity_name_mask`, too: BoolTensor[max_length], True at
    the tokens of inserted names. `article_end_token_id` (EOS) is put after each article; None, as published: nothing.

    One `random.Random(seed)` draws for the whole run; epoch e reads the articles in the order of
    `dataset.shuffle(seed + e)`, or as they lie. `state_dict()` is where the iterator made last stands, in plain JSON
    types; after `load_state_dict(state)` each new iterator starts there, with any number of ranks. With loader workers
    the state stays in the worker: ask for it only where the blocks are made in this process.

    Raises `ValueError` for arguments out of range and `InputError` for a dataset without a token.
    """

    def __init__(
        self,
        dataset: "Dataset",
        max_length: int,
        entity_name_start_token_id: int,
        entity_name_end_token_id: int,
        entity_name_insertion_prob: float,
        entity_name_insertion_strategy: str,
        shuffle: bool = False,
        seed: int = 42,
        no_separator_tokens: bool = False,
        article_end_token_id: int | None = None,
    ) -> None:
        self.insertion = Insertion(
            entity_name_insertion_strategy,
            entity_name_insertion_prob,
            entity_name_start_token_id,
            entity_name_end_token_id,
            no_separator_tokens,
        )
        if max_length < 1:
            raise ValueError(f"max_length is {max_length}; a block has at least one token")
        self.articles = EncodedArticles(dataset)
        if not self.articles.has_tokens():
            raise InputError("the dataset holds no token: there is nothing to train on")
        self.max_length = max_length
        self.shuffle = shuffle
        self.seed = seed
        self.article_end_token_id = article_end_token_id
        settings = {"articles": len(self.articles), "max_length": max_length, "shuffle": shuffle, "seed": seed}
        # A stream has the settings that it had before there were these two, where they are off.
        own = {name: value for name, value in vars(self.insertion).items() if name != "no_separator_tokens" or value}
        ends = {} if article_end_token_id is None else {"article_end_token_id": article_end_token_id}
        self._settings = settings | own | ends
        self._start: dict[str, Any] | None = None
        self._position = self._first_position()

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        worker = get_worker_info()
        if worker is not None and worker.id > 0:
            return
        rank, num_ranks = 0, 1
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            rank, num_ranks = torch.distributed.get_rank(), torch.distributed.get_world_size()
        position = self._position = self._first_position()
        for blocks in self._rounds(position, num_ranks):
            yield self._block(blocks[rank])

    def _block(self, tokens: np.ndarray) -> dict[str, torch.Tensor]:
        if not self.insertion.needs_marks:
            return {"input_ids": torch.from_numpy(tokens.copy())}
        ids, names = unmark(tokens)
        return {"input_ids": torch.from_numpy(ids), "entity_name_mask": torch.from_numpy(names)}

    def first_epoch(self) -> list[dict[str, torch.Tensor]]:
        """The whole blocks of the first epoch. Its last tokens, fewer than a block has, are left out."""
        articles = self._augmented_articles(self._first_position())
        tokens = np.concatenate([next(articles) for _ in range(len(self.articles))])
        starts = range(0, len(tokens) - self.max_length + 1, self.max_length)
        return [self._block(tokens[start : start + self.max_length]) for start in starts]

    def state_dict(self) -> dict[str, Any]:
        return {"settings": self._settings, **self._position.as_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Start from `state`. Raises `ValueError` when it is the state of a stream with other settings."""
        saved = state["settings"]
        changed = [key for key in self._settings | saved if saved.get(key) != self._settings.get(key)]
        if changed:
            differences = ", ".join(f"{key} {saved.get(key)} (now {self._settings.get(key)})" for key in changed)
            raise ValueError(f"the saved stream had {differences}")
        self._start = state
        self._position = self._first_position()

    def _first_position(self) -> "_Position":
        return _Position(random.Random(self.seed)) if self._start is None else _Position.from_dict(self._start)

    def _rounds(self, position: "_Position", num_ranks: int) -> Iterator[np.ndarray]:
        """One block for each rank at a time, [num_ranks, max_length]; `position` is where the stream continues."""
        size = num_ranks * self.max_length
        articles = self._augmented_articles(position)
        while True:
            pieces, length = [position.carried], len(position.carried)
            while length < size:
                pieces.append(next(articles))
                length += len(pieces[-1])
            tokens = np.concatenate(pieces)
            for start in range(0, length - size + 1, size):
                position.carried = tokens[start + size :]
                yield tokens[start : start + size].reshape(num_ranks, self.max_length)

    def order_of_epoch(self, epoch: int) -> Sequence[int]:
        """The rows of the dataset in the order in which this epoch reads them."""
        count = len(self.articles)
        # The permutation that `dataset.shuffle(seed + epoch)` applies, without the index file that it writes.
        return np.random.default_rng(self.seed + epoch).permutation(count) if self.shuffle else range(count)

    def _augmented_articles(self, position: "_Position") -> Iterator[np.ndarray]:
        """The token ids of article after article, epoch after epoch; `position` is always after the last one given."""
        settings = vars(self.insertion) | {"mark_names": self.insertion.needs_marks}
        article_end = [] if self.article_end_token_id is None else [self.article_end_token_id]
        while True:
            for index in self.order_of_epoch(position.epoch)[position.article :]:
                position.article += 1
                article = insert_entity_names(*self.articles[index], rng=position.rng, **settings)
                yield np.append(article, article_end) if article_end else article
            position.epoch += 1
            position.article = 0


@dataclass
class _Position:
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
    def from_dict(cls, state: dict[str, Any]) -> "_Position":
        version, internal, gauss = state["rng"]
        rng = random.Random()
        rng.setstate((version, tuple(internal), gauss))
        return cls(rng, state["epoch"], state["article"], np.array(state["carried"], dtype=np.int64))
