"""The space before a name: as the text would have it where the name replaces characters and no tag stands between.

Most tokens of words carry the space before them (`▁fire`, `Ġfire`); WordPiece marks those that go on (`##fire`). An
entity whose first token begins a word gets its name with the space, another one without.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from transformers import PreTrainedTokenizerBase

from leia.data.alignment import token_bytes

_BEFORE = ("\n", "(", "「", "0", "z", "q")
"""Texts that a tokenizer may leave apart from the letters after them, so that a name behind them has no space."""


@dataclass(frozen=True)
class Spaces:
    """`begin_word[id]`: whether a token begins a word, [ids]; `space`: the ids of one space (none for WordPiece, which
    writes spaces by itself)."""

    begin_word: np.ndarray
    space: list[int]

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase) -> "Spaces":
        model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
        if model["type"] == "WordPiece":
            tokens = tokenizer.convert_ids_to_tokens(range(len(token_bytes(tokenizer))))
            goes_on = [(token or "").startswith(model["continuing_subword_prefix"]) for token in tokens]
            return cls(~np.array(goes_on), [])
        found = token_bytes(tokenizer)
        # That of words before the one of byte fallback, `<0x20>`.
        space = sorted((len(tokenizer.convert_ids_to_tokens(k)), k) for k, token in enumerate(found) if token == b" ")
        return cls(np.array([token.startswith(b" ") for token in found]), [index for _, index in space[:1]])


def tokenize_both_ways(
    names: Sequence[str], tokenizer: PreTrainedTokenizerBase, spaces: Spaces
) -> list[tuple[list[int], list[int]]]:
    """The token ids of each name without a space before it, and with one."""
    backend = tokenizer.backend_tokenizer

    def encode(texts: list[str]) -> list[list[int]]:
        return [encoding.ids for encoding in backend.encode_batch_fast(texts, add_special_tokens=False)]

    alone = encode(list(names))
    bare: list[list[int] | None] = [None if _begins_word(ids, spaces) else ids for ids in alone]
    spaced: list[list[int] | None] = [ids if _begins_word(ids, spaces) else None for ids in alone]
    missing = [k for k, ids in enumerate(spaced) if ids is None]
    for k, ids in zip(missing, encode([f" {names[k]}" for k in missing]), strict=True):
        spaced[k] = ids if _begins_word(ids, spaces) else [*spaces.space, *alone[k]]
    for before in _BEFORE:
        missing = [k for k, ids in enumerate(bare) if ids is None]
        (head,) = encode([before])
        for k, ids in zip(missing, encode([before + names[k] for k in missing]), strict=True):
            rest = ids[len(head) :]
            if ids[: len(head)] == head and rest and not _begins_word(rest, spaces):
                bare[k] = rest
    return [(alone[k] if bare[k] is None else bare[k], spaced[k]) for k in range(len(names))]


def _begins_word(ids: list[int], spaces: Spaces) -> bool:
    return bool(ids) and bool(spaces.begin_word[ids[0]])
