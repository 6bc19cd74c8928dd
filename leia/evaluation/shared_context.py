"""Log-likelihoods of several continuations of one context, the context computed once.

An item is laid out as one row: the tokens that all its sequences begin with (the prefix), then what is left of each
sequence (its branches), one after the other. In every branch the position ids continue from the prefix, and the
attention mask lets a branch see the prefix and itself only, so each branch gets the logits that it would get alone.
Rows are padded on the left, so that the last columns, whose logits are needed, line up.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from transformers import PreTrainedModel


class Score(NamedTuple):
    """Sum of the log-probabilities of a continuation's tokens, and whether each of them was the likeliest."""

    log_likelihood: float
    is_greedy: bool


class Target(NamedTuple):
    """A token to score: the logits of `column` (in the unpadded row) predict it; None is every continuation's."""

    column: int
    token: int
    continuation: int | None


@dataclass(frozen=True)
class Row:
    """One item as the model sees it. `segments`: 0 in the prefix, 1 + i in continuation i's branch."""

    tokens: list[int]
    positions: list[int]
    segments: list[int]
    targets: list[Target]
    num_continuations: int

    @property
    def num_kept(self) -> int:
        """How many columns at the row's end have logits that are needed."""
        return len(self.tokens) - min(target.column for target in self.targets)


def lay_out(context: Sequence[int], continuations: Sequence[Sequence[int]]) -> Row:
    """The row of a context (at least one token) and its continuations (token ids, at least one of them not empty)."""
    # One token at least stays in a branch: nothing is predicted from a continuation's last token.
    shared = min(_common_prefix_length(continuations), max(map(len, continuations)) - 1)
    tokens = [*context, *continuations[0][:shared]]
    positions = list(range(len(tokens)))
    segments = [0] * len(tokens)
    targets = [Target(len(context) - 1 + i, continuations[0][i], None) for i in range(shared)]
    prefix_length = len(tokens)
    for index, continuation in enumerate(continuations):
        column = prefix_length - 1  # the prefix's last column predicts each branch's first token
        for offset, token in enumerate(continuation[shared:]):
            targets.append(Target(column, token, index))
            if shared + offset + 1 < len(continuation):
                column = len(tokens)
                tokens.append(token)
                positions.append(prefix_length + offset)
                segments.append(index + 1)
    return Row(tokens, positions, segments, targets, len(continuations))


def _common_prefix_length(continuations: Sequence[Sequence[int]]) -> int:
    length = 0
    for tokens in zip(*continuations, strict=False):
        if len(set(tokens)) > 1:
            break
        length += 1
    return length


@torch.inference_mode()
def score(model: PreTrainedModel, rows: Sequence[Row], pad_token_id: int) -> list[list[Score]]:
    """Score every continuation of every row in one forward pass; the softmax is taken in 32 bits."""
    width = max(len(row.tokens) for row in rows)
    starts = [width - len(row.tokens) for row in rows]

    def padded(name: str, padding: int) -> torch.Tensor:
        values = [[padding] * start + getattr(row, name) for row, start in zip(rows, starts, strict=True)]
        return torch.tensor(values, device=model.device)

    kept = max(row.num_kept for row in rows)
    logits = model(
        input_ids=padded("tokens", pad_token_id),
        position_ids=padded("positions", 0),
        attention_mask=_attention_mask(padded("segments", -1), model.dtype),
        logits_to_keep=kept,
        use_cache=False,
    ).logits[:, -kept:]

    places = [
        (number, start + target.column - (width - kept), target.token)
        for number, (row, start) in enumerate(zip(rows, starts, strict=True))
        for target in row.targets
    ]
    number, column, token = torch.tensor(places, device=model.device).unbind(1)
    chosen = logits[number, column].float()
    log_probs = chosen.gather(1, token[:, None]).squeeze(1) - chosen.logsumexp(1)
    greedy = chosen.argmax(1) == token
    return _sum_by_continuation(rows, log_probs.tolist(), greedy.tolist())


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


def _sum_by_continuation(rows: Sequence[Row], log_probs: list[float], greedy: list[bool]) -> list[list[Score]]:
    values = iter(zip(log_probs, greedy, strict=True))
    scores = []
    for row in rows:
        sums, all_greedy = [0.0] * row.num_continuations, [True] * row.num_continuations
        for target in row.targets:
            log_prob, is_greedy = next(values)
            owners = range(row.num_continuations) if target.continuation is None else (target.continuation,)
            for owner in owners:
                sums[owner] += log_prob
                all_greedy[owner] &= is_greedy
        scores.append([Score(*pair) for pair in zip(sums, all_greedy, strict=True)])
    return scores
