"""Articles as the words that new tokens are learnt in, each a row of symbols: the tokens that it has now."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from tokenizers import Encoding
from transformers import PreTrainedTokenizerBase

from leia.base.cli import progress
from leia.data.alignment import byte_of_token
from leia.data.words import words_of

Symbol = int | str
"""A token by its id, or a character that has none: it is spelt in bytes, or unknown."""

_ARTICLES_AT_ONCE = 64


class SymbolReader:
    """Reads articles by a tokenizer. `left_out`: the script whose words are left out."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, left_out: str) -> None:
        self._backend, self._left_out = tokenizer.backend_tokenizer, left_out
        self.vocabulary: dict[str, int] = self._backend.get_vocab()
        self._bytes = {
            index: byte for token, index in self.vocabulary.items() if (byte := byte_of_token(token)) is not None
        }
        model = json.loads(self._backend.to_str())["model"]
        self._unknown = model["unk_id"] if "unk_id" in model else self.vocabulary.get(model.get("unk_token"))
        self.spelling: dict[str, tuple[int, ...]] = {}
        """The ids that a character without a token has."""

    def count_words(self, texts: Sequence[str]) -> Counter[tuple[Symbol, ...]]:
        """How often each word stands in `texts`; those of one token alone are left out, nothing is learnt from them."""
        words: Counter[tuple[Symbol, ...]] = Counter()
        with progress("learning", total=len(texts), unit=" articles") as bar:
            for start in range(0, len(texts), _ARTICLES_AT_ONCE):
                some = list(texts[start : start + _ARTICLES_AT_ONCE])
                for text, encoding in zip(
                    some, self._backend.encode_batch(some, add_special_tokens=False), strict=True
                ):
                    found = self._words(text, encoding)
                    words.update(word for word in found if len(word) > 1 or isinstance(word[0], str))
                bar.update(len(some))
        return words

    def _words(self, text: str, encoding: Encoding) -> Iterator[tuple[Symbol, ...]]:
        starts, ends = np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2).T
        all_ids = encoding.ids  # made anew at each access
        covers = ends > starts
        word_at = words_of(text, self._left_out)
        first, last = word_at[starts[covers]], word_at[ends[covers] - 1]
        numbers = np.full(len(starts), -1)
        numbers[covers] = np.where(first == last, first, -1)
        # What the tokenizer cuts before its model sees it cannot be put together.
        parts = np.array([-1 if part is None else part for part in encoding.word_ids], dtype=np.int64)
        bounds = np.flatnonzero((np.diff(numbers) != 0) | (np.diff(parts) != 0)) + 1
        for start, end in zip([0, *bounds.tolist()], [*bounds.tolist(), len(numbers)], strict=True):
            if start < end and numbers[start] >= 0:
                ids = all_ids[start:end]
                if self._unknown in ids:
                    yield from self._unknown_characters(text[starts[start] : ends[end - 1]])
                else:
                    yield tuple(self._symbols(ids))

    def _symbols(self, ids: list[int]) -> Iterator[Symbol]:
        spelt: list[int] = []
        for index in ids:
            if index not in self._bytes:
                spelt = []
                yield index
                continue
            spelt.append(index)
            try:
                character = bytes(self._bytes[one] for one in spelt).decode()
            except UnicodeDecodeError:
                continue
            self.spelling[character] = tuple(spelt)
            spelt = []
            yield character

    def _unknown_characters(self, text: str) -> Iterator[tuple[Symbol]]:
        """Each by itself: one id may stand for several of them, so that nothing tells which tokens are around it."""
        normalizer = self._backend.normalizer
        for character in normalizer.normalize_str(text) if normalizer else text:
            if character.isalpha() and character not in self.vocabulary:
                self.spelling[character] = (self._unknown,)
                yield (character,)
