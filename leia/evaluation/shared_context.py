"""Log-likelihoods of several continuations of one context, the context computed once.

An item is laid out as one row: the tokens that all its sequences begin with (the prefix), then what is left of each
sequence (its branches), one after the other. In every branch the position ids continue from the prefix, and the
attention mask lets a branch see the prefix and itself only, so each branch gets the logits that it would get alone.
Rows are padded on the left, so that the last columns, whose logits are needed, line up.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import NamedTuple

import numpy as np
import torch
from transformers import PreTrainedModel


class Score(NamedTuple):
    """Sum of the log-probabilities of a continuation's tokens, and whether each of them was the likeliest."""

    log_likelihood: float
    is_greedy: bool


@dataclass(frozen=True)
class Row:
    """One item as the model sees it. `segments`: 0 in the prefix, 1 + i in continuation i's branch.

    `targets`: (column, token), the logits of the column (in the unpadded row) are to predict the token; the first
    target has the first of these columns. `continuations`: the indices of each one's targets.
    """

    tokens: list[int]
    positions: list[int]
    segments: list[int]
    targets: list[tuple[int, int]]
    continuations: list[list[int]]


def lay_out(context: Sequence[int], continuations: Sequence[Sequence[int]]) -> Row:
    """The row of a context (at least one token) and its continuations (token ids, at least one of them not empty)."""
    equal = takewhile(lambda tokens: len(set(tokens)) == 1, zip(*continuations, strict=False))
    # One token at least stays in a branch: nothing is predicted from a continuation's last token.
    shared = continuations[0][: min(len(list(equal)), max(map(len, continuations)) - 1)]
    tokens = [*context, *shared]
    prefix_length = len(tokens)
    positions, segments = list(range(prefix_length)), [0] * prefix_length
    targets = list(enumerate(shared, len(context) - 1))
    owned = []
    for index, continuation in enumerate(continuations, 1):
        branch = continuation[len(shared) :]
        # The prefix's last column predicts each branch's first token.
        columns = [prefix_length - 1, *range(len(tokens), len(tokens) + len(branch) - 1)]
        owned.append([*range(len(shared)), *range(len(targets), len(targets) + len(branch))])
        targets += zip(columns, branch, strict=False)
        tokens += branch[:-1]
        positions += range(prefix_length, prefix_length + len(branch) - 1)
        segments += [index] * (len(branch) - 1)
    return Row(tokens, positions, segments, targets, owned)


@torch.inference_mode()
def score(model: PreTrainedModel, rows: Sequence[Row], pad_token_id: int) -> list[list[Score]]:
    """Score every continuation of every row in one forward pass; the softmax is taken in 32 bits."""
    width = max(len(row.tokens) for row in rows)
    starts = [width - len(row.tokens) for row in rows]

    def padded(name: str, padding: int) -> torch.Tensor:
        values = [[padding] * start + getattr(row, name) for row, start in zip(rows, starts, strict=True)]
        return _to_device(values, model.device)

    kept = max(len(row.tokens) - row.targets[0][0] for row in rows)
    logits = model(
        input_ids=padded("tokens", pad_token_id),
        position_ids=padded("positions", 0),
        attention_mask=_attention_mask(padded("segments", -1), model.dtype),
        logits_to_keep=kept,
        use_cache=False,
    ).logits[:, -kept:]

    places = [
        (number, start + column - (width - kept), token)
        for number, (row, start) in enumerate(zip(rows, starts, strict=True))
        for column, token in row.targets
    ]
    number, column, token = _to_device(places, model.device).unbind(1)
    chosen = logits[number, column].float()
    log_probs = chosen.gather(1, token[:, None]).squeeze(1) - chosen.logsumexp(1)
    greedy = chosen.argmax(1) == token
    told = iter(zip(log_probs.tolist(), greedy.tolist(), strict=True))
    scores = []
    for row in rows:
        found = [next(told) for _ in row.targets]
        own = ([found[index] for index in indices] for indices in row.continuations)
        scores.append([Score(sum(value for value, _ in pairs), all(best for _, best in pairs)) for pairs in own])
    return scores


def _to_device(values: Sequence[Sequence[int]], device: torch.device) -> torch.Tensor:
    """Through numpy, which reads lists several times as fast as torch does: a GPU waits for it between batches."""
    return torch.from_numpy(np.array(values, dtype=np.int64)).to(device)


def _attention_mask(segments: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Additive mask [rows, 1, query, key]: causal; a query sees the prefix and its own branch.

    Padding (-1) sees the padding before it, because a query that sees nothing becomes NaN in 16 bits.
    """
    width = segments.shape[1]
    query, key = segments[:, :, None], segments[:, None, :]
    causal = torch.ones(width, width, dtype=torch.bool, device=segments.device).tril()
    allowed = causal & ((key == query) | ((key == 0) & (query > 0)))
    mask = torch.zeros(allowed.shape, dtype=dtype, device=segments.device)
    return mask.masked_fill_(~allowed, torch.finfo(dtype).min)[:, None]
