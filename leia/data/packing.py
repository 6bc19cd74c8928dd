"""The training stream: augmented articles, joined (without a separator, unless one is given) and cut into blocks of one
length.

The stream has no end and one order (method: paper, section 2), whatever the number of ranks and of loader workers:

- Rank r of n, in an initialised `torch.distributed` group, gets the blocks r, r + n, r + 2n, ... Every rank packs the
  whole stream, which costs a rank far less time than its model takes. So `accelerate` must not shard it a second time.
- Of several `DataLoader` workers the first makes all blocks.
"""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.distributed
from torch.utils.data import IterableDataset, get_worker_info

from leia.base.datasets import EncodedArticles
from leia.base.errors import InputError
from leia.data.insertion import Insertion, draw_numbers, insert_drawn, unmark
from leia.data.name_spaces import Spaces
from leia.data.stream_position import StreamPosition
from leia.data.switching import Switching, switch_names

if TYPE_CHECKING:
    from datasets import Dataset


class LeiaConstantLengthDataset(IterableDataset):
    """Yields `{"input_ids": LongTensor[max_length]}` without end, from a dataset of encoded articles.

    With `no_separator_tokens` names stand between no tags (an ablation of the paper). Then, and under a strategy that
    puts something else than names between them, a block has `entity_name_mask`, too: BoolTensor[max_length], True at
    the tokens of inserted names.

    Three options of documents, none of them published: `article_end_token_id` (EOS) is put after each article. With
    `separate_attention` a block has `position_ids`, LongTensor[max_length], which begin with 0 at each article (and at
    the block). With `separate_epochs` no block holds tokens of two epochs: the last tokens of one, fewer than a block
    has, are left out.

    `spaces`: of a dataset whose names have the space of the text, for names without tags. `switching`: of names in
    several languages, what shares one of them and how it is drawn.

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
        separate_attention: bool = False,
        separate_epochs: bool = False,
        spaces: Spaces | None = None,
        switching: Switching | None = None,
    ) -> None:
        self.insertion = Insertion(
            entity_name_insertion_strategy,
            entity_name_insertion_prob,
            entity_name_start_token_id,
            entity_name_end_token_id,
            no_separator_tokens,
            spaces,
        )
        if max_length < 1:
            raise ValueError(f"max_length is {max_length}; a block has at least one token")
        self.articles = EncodedArticles(dataset)
        if not self.articles.has_tokens():
            raise InputError("the dataset holds no token: there is nothing to train on")
        self.max_length = max_length
        self.shuffle = shuffle
        self.seed = seed
        self.separate_epochs = separate_epochs
        self.article_end_token_id = article_end_token_id
        self._marks_starts = separate_attention
        switching = switching or Switching()
        is_plain = self.articles.languages == 1 and switching.probability == 1  # nothing more is drawn then
        self.switching = None if is_plain else switching
        if self.switching is not None and self.switching.unit == "sentence" and not self.articles.has_sentences:
            raise InputError(
                "switch_unit is sentence: the dataset does not say where sentences start; build it with --sentences"
            )
        settings = {"articles": len(self.articles), "max_length": max_length, "shuffle": shuffle, "seed": seed}
        settings |= {
            "strategy": entity_name_insertion_strategy,
            "prob": entity_name_insertion_prob,
            "start_token_id": entity_name_start_token_id,
            "end_token_id": entity_name_end_token_id,
        }
        later = {
            "no_separator_tokens": no_separator_tokens or None,
            "article_end_token_id": article_end_token_id,
            "separate_attention": separate_attention or None,
            "separate_epochs": separate_epochs or None,
            "names_in_text": spaces is not None or None,
            "switching": self.switching and json.loads(json.dumps(asdict(self.switching))),
        }
        # A stream has the settings that it had before there were these, where they are off.
        self._settings = settings | {name: value for name, value in later.items() if value is not None}
        self._start: dict[str, Any] | None = None
        self._position = self._first_position()
        if separate_epochs and next(self._rest_of_epoch(self._first_position()), None) is None:
            raise InputError(
                f"separate_epochs is on: all {len(self.articles):,} articles together hold less than one block of "
                f"{max_length:,} tokens; lower max_length, or leave separate_epochs out"
            )

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        worker = get_worker_info()
        if worker is not None and worker.id > 0:
            return
        rank, num_ranks = rank_and_ranks()
        blocks = self.token_blocks()
        while True:
            yield self.block([next(blocks) for _ in range(num_ranks)][rank])

    def token_blocks(self) -> Iterator[np.ndarray]:
        """All blocks of the stream as they are packed, [max_length] each, with the marks that `block` reads."""
        self._position = self._first_position()
        return self._blocks(self._position)

    def block(self, tokens: np.ndarray) -> dict[str, torch.Tensor]:
        """What is yielded of one of `token_blocks`."""
        if not (self.insertion.needs_marks or self._marks_starts):
            return {"input_ids": torch.from_numpy(tokens.copy())}
        ids, names = unmark(tokens)
        block = {}
        if self.insertion.needs_marks:
            block["entity_name_mask"] = torch.from_numpy(names)
        if self._marks_starts:
            ids, positions = positions_in_articles(ids)
            block["position_ids"] = torch.from_numpy(positions)
        return {"input_ids": torch.from_numpy(ids)} | block

    def first_epoch(self) -> list[dict[str, torch.Tensor]]:
        """The whole blocks of the first epoch. Its last tokens, fewer than a block has, are left out."""
        rng = random.Random(self.seed)
        tokens = np.concatenate([self._augmented(index, rng) for index in self.order_of_epoch(0)])
        starts = range(0, len(tokens) - self.max_length + 1, self.max_length)
        return [self.block(tokens[start : start + self.max_length]) for start in starts]

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

    def _first_position(self) -> StreamPosition:
        if self._start is None:
            return StreamPosition(random.Random(self.seed))
        return StreamPosition.from_dict(self._start)

    def _blocks(self, position: StreamPosition) -> Iterator[np.ndarray]:
        """Block after block, epoch after epoch; `position` is where the stream continues after the last one given."""
        yield from self._cut(position.carried, position)
        while True:
            yield from self._rest_of_epoch(position)
            position.epoch += 1
            position.article = 0
            if self.separate_epochs:
                position.carried = position.carried[:0]

    def _rest_of_epoch(self, position: StreamPosition) -> Iterator[np.ndarray]:
        """The blocks that its articles fill; the tokens behind the last one are carried."""
        pieces, length = [position.carried], len(position.carried)
        for index in self.order_of_epoch(position.epoch)[position.article :]:
            position.article += 1
            pieces.append(self._augmented(index, position.rng))
            length += len(pieces[-1])
            if length < self.max_length:
                continue
            yield from self._cut(np.concatenate(pieces), position)
            pieces, length = [position.carried], len(position.carried)
        position.carried = np.concatenate(pieces)

    def _cut(self, tokens: np.ndarray, position: StreamPosition) -> Iterator[np.ndarray]:
        """The whole blocks of `tokens`; the rest is carried."""
        for start in range(0, len(tokens) - self.max_length + 1, self.max_length):
            position.carried = tokens[start + self.max_length :]
            yield tokens[start : start + self.max_length]

    def order_of_epoch(self, epoch: int) -> Sequence[int]:
        """The rows of the dataset in the order in which this epoch reads them."""
        count = len(self.articles)
        # The permutation that `dataset.shuffle(seed + epoch)` applies, without the index file that it writes.
        return np.random.default_rng(self.seed + epoch).permutation(count) if self.shuffle else range(count)

    def _augmented(self, index: int, rng: random.Random) -> np.ndarray:
        """The token ids of an article with names in it, and with the marks that `block` reads."""
        read = self.articles[index]
        if self.switching is None:
            names, draws = read.names, draw_numbers(len(read.names), rng)
        else:
            sentences = self.articles.sentence_starts(index)
            names, draws = switch_names(read, self.articles.languages, sentences, self.switching, rng)
        article = insert_drawn(*read[:3], names, draws, self.insertion, self.insertion.needs_marks)
        if self.article_end_token_id is not None:
            article = np.append(article, self.article_end_token_id)
        if self._marks_starts and len(article):
            article[0] ^= _ARTICLE_START
        return article


def rank_and_ranks() -> tuple[int, int]:
    """This process's rank in an initialised `torch.distributed` group, and how many there are; else 0 and 1."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


_ARTICLE_START = 1 << 32
"""A bit that no token id has; it is turned over in the first one of an article, which may be marked as of a name."""


def positions_in_articles(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The ids of a block without the marks of first tokens, and the position of each token in its article, counted from
    the first one that the block holds; each of the block's shape."""
    places = np.arange(len(ids))
    first = np.maximum.accumulate(np.where(ids & _ARTICLE_START, places, 0))
    return ids & ~_ARTICLE_START, places - first
