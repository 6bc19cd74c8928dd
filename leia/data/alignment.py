"""Which token starts at a character? Entities are kept whose both ends lie on token boundaries.

The rule: a position is a boundary when a token starts there (of several, the first: byte-fallback tokens of one
character share its start), when a token starts with the one space before it, and at the end of the text.

Tokenizers can report offsets, which take as long to fetch as the tokens. Nearly always they are not needed: where the
bytes of the tokens, put together, are the bytes of the text (with a space in front, which some tokenizers add), their
lengths say where each token starts. Where they are not (a normaliser changed the text), the offsets are asked for.
"""

import json
import re
from collections.abc import Sequence
from itertools import chain

import numpy as np
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

from leia.base.errors import DropReason, InputError
from leia.data.tokenizers import count_ids

NO_TOKEN = -1

_BYTE_TOKEN = re.compile(r"<0x([0-9A-F]{2})>")


class Aligner:
    """Tokenises texts and finds the tokens that start at given characters."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        """Raises `InputError` for a tokenizer that cannot report offsets (a "slow" one)."""
        if not tokenizer.is_fast:
            raise InputError(
                f"{tokenizer.name_or_path}: its tokenizer ({type(tokenizer).__name__}) reports no offsets; expected a "
                "fast tokenizer (one with a tokenizer.json)"
            )
        self._backend = tokenizer.backend_tokenizer
        self._backend.no_truncation()
        self._backend.no_padding()
        texts = chain("a", self._backend.get_vocab())  # a tokenizer may know no "a", and drop it
        special = next(mask for text in texts if 0 in (mask := self._backend.encode(text).special_tokens_mask))
        self._front = special.index(0)
        self._back = special[::-1].index(0)
        # Offsets that keep the space a token starts with (byte-level tokenizers leave it out).
        untrimmed = self._backend.to_str().replace('"trim_offsets":true', '"trim_offsets":false')
        self._offsets_backend = Tokenizer.from_str(untrimmed)
        self._bytes_of = token_bytes(tokenizer)
        self._lengths = np.array([len(token) for token in self._bytes_of], dtype=np.int64)

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """The token ids of each text, with the tokenizer's own special tokens."""
        return [encoding.ids for encoding in self._backend.encode_batch_fast(list(texts))]

    def tokenize_names(self, names: Sequence[str]) -> list[list[int]]:
        """The token ids of each name, without special tokens."""
        return [encoding.ids for encoding in self._backend.encode_batch_fast(list(names), add_special_tokens=False)]

    def find_tokens(self, text: str, ids: list[int], positions: np.ndarray) -> np.ndarray:
        """For each of `positions` (characters of `text`), the index in `ids` of the token that starts there.

        `NO_TOKEN` where the position is not a token boundary. The end of the text gives the index after the last
        token of the text.
        """
        end = len(ids) - self._back
        encoded = text.encode()
        starts = self._starts_by_length(ids[self._front : end], encoded)
        if starts is None:
            return self.find_tokens_by_offsets(text, positions)
        units = positions
        if len(encoded) != len(text):
            is_first_byte = (np.frombuffer(encoded, dtype=np.uint8) & 0xC0) != 0x80
            units = np.append(np.flatnonzero(is_first_byte), len(encoded))[positions]
        return _match(text, positions, units, starts, np.arange(self._front, end), end)

    def offsets(self, text: str) -> np.ndarray:
        """The characters that each token of `text` covers, [tokens, 2], end exclusive."""
        return np.array(self._offsets_backend.encode(text).offsets, dtype=np.int64).reshape(-1, 2)

    def cut(self, ids: list[int], max_length: int) -> int:
        """Cut `ids` to `max_length` as tokenizers do, special tokens counted; return where the text's tokens end."""
        back = ids[len(ids) - self._back :]
        end = max(self._front, max_length - self._back)
        ids[end:] = back
        return end

    def find_tokens_by_offsets(self, text: str, positions: np.ndarray) -> np.ndarray:
        """`find_tokens` by the tokenizer's own offsets: the definition that the quick way must agree with."""
        offsets = self.offsets(text)
        end = len(offsets) - self._back
        starts, ends = offsets[self._front : end].T
        # A token that starts before its predecessor ends holds the rest of a character: nothing starts with it.
        whole = np.ones(len(starts), dtype=bool)
        whole[1:] = np.maximum.accumulate(ends)[:-1] <= starts[1:]
        return _match(text, positions, positions, starts[whole], np.flatnonzero(whole) + self._front, end)

    def _starts_by_length(self, ids: list[int], encoded: bytes) -> np.ndarray | None:
        """The byte of `encoded` at which each token starts; None when the tokens' bytes are not those of the text."""
        joined = b"".join(map(self._bytes_of.__getitem__, ids))
        added_space = len(joined) - len(encoded)
        if added_space not in (0, 1) or not joined.endswith(encoded) or joined[:added_space] not in (b"", b" "):
            return None
        ends = np.cumsum(self._lengths[ids])
        return np.maximum(ends - self._lengths[ids] - added_space, 0)


def _match(
    text: str, positions: np.ndarray, units: np.ndarray, starts: np.ndarray, indices: np.ndarray, end: int
) -> np.ndarray:
    """The index of the token at each of `positions` (characters); `units` are the positions in the unit of `starts`.

    Token `indices[k]` starts at `starts[k]`, in ascending order; `end` is the index for the end of the text.
    """
    if not len(starts):
        return np.where(positions == len(text), end, NO_TOKEN)
    padded_starts = np.append(starts, -1)
    padded_indices = np.append(indices, NO_TOKEN)
    nearest = np.searchsorted(starts, units)
    found = np.where(padded_starts[nearest] == units, padded_indices[nearest], NO_TOKEN)
    for k in np.flatnonzero(found == NO_TOKEN):
        position = positions[k]
        if position == len(text):
            found[k] = end
        elif position and text[position - 1] == " " != text[position]:
            nearest = np.searchsorted(starts, units[k] - 1)
            if padded_starts[nearest] == units[k] - 1:
                found[k] = padded_indices[nearest]
    return found


def drop_reason(first: int, last: int, end: int) -> DropReason | None:
    """Why an entity of the tokens `first` to `last` (as `find_tokens` gives them) is dropped, of an article of `end`
    tokens; None where it is kept."""
    if first == NO_TOKEN:
        return DropReason.START_NOT_ON_BOUNDARY
    if last == NO_TOKEN:
        return DropReason.END_NOT_ON_BOUNDARY
    return DropReason.BEYOND_MAX_LENGTH if last > end else None


def token_bytes(tokenizer: PreTrainedTokenizerBase) -> list[bytes]:
    """The bytes that each id stands for in a text, as byte-level and SentencePiece-like vocabularies write them."""
    specification = json.loads(tokenizer.backend_tokenizer.to_str())
    added = {token["id"]: token["content"] for token in specification["added_tokens"]}
    byte_level = '"ByteLevel"' in json.dumps([specification["pre_tokenizer"], specification["decoder"]])
    byte_of_letter = _byte_level_letters()
    table = []
    for index in range(count_ids(tokenizer)):
        token = tokenizer.convert_ids_to_tokens(index) or ""
        if index in added:
            table.append(added[index].encode())
        elif byte_level:
            table.append(bytes(byte_of_letter.get(letter, 0) for letter in token))
        elif (byte := byte_of_token(token)) is not None:
            table.append(bytes([byte]))
        else:
            table.append(token.replace("▁", " ").encode())
    return table


def byte_of_token(token: str) -> int | None:
    """The byte that a byte-fallback token (`<0xE3>`) stands for; None for other tokens."""
    match = _BYTE_TOKEN.fullmatch(token)
    return int(match[1], 16) if match else None


def _byte_level_letters() -> dict[str, int]:
    """The byte of each letter in a byte-level vocabulary: printable Latin-1 as it is, the others from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + k): byte for k, byte in enumerate(others)}
