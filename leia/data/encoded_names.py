"""Names to token ids: each distinct name once, in one language or in several, alone or as it stands in the text."""

from collections.abc import Callable, Mapping, Sequence, Sized
from dataclasses import dataclass
from functools import partial
from itertools import chain

import numpy as np
from transformers import PreTrainedTokenizerBase

from leia.base.errors import DropReason
from leia.base.pool import map_in_order
from leia.data.alignment import Aligner
from leia.data.name_spaces import Spaces, tokenize_both_ways
from leia.data.names import EntityNames

_NAMES_PER_CHUNK = 10_000


@dataclass(frozen=True, slots=True)
class EncodedNames:
    """The distinct names of all languages: `by_language[k][qid]` is the number of a name or the reason why there is
    none; the token ids of name n are `ids[bounds[n]:bounds[n + 1]]`. The last name is empty: that of an entity which
    has none in a language. Two arrays, not a list of lists: processes share them without copying.

    Where names stand as in the text, `spaces` tells which tokens begin a word, and name n + 1 is name n with the space.
    """

    by_language: list[Mapping[str, int | DropReason]]
    ids: np.ndarray
    bounds: np.ndarray
    spaces: Spaces | None

    @property
    def nothing(self) -> int:
        return len(self.bounds) - 2


def encode_names(
    languages: Sequence[EntityNames], tokenizer: PreTrainedTokenizerBase, aligner: Aligner, in_text: bool, workers: int
) -> EncodedNames:
    """Tokenise each distinct name of all `languages` once; `in_text`: without and with a space before it."""
    spaces = Spaces.of(tokenizer) if in_text else None
    forms = 1 if spaces is None else 2
    number_of: dict[str, int] = {}
    by_language = [
        {
            qid: name if isinstance(name, DropReason) else number_of.setdefault(name, forms * len(number_of))
            for qid, name in names.items()
        }
        for names in languages
    ]
    names = list(number_of)
    chunks = [names[start : start + _NAMES_PER_CHUNK] for start in range(0, len(names), _NAMES_PER_CHUNK)]
    encode: Callable = aligner.tokenize_names
    if spaces is not None:
        encode = partial(_both_ways, tokenizer=tokenizer, spaces=spaces)
    encoded = [ids for _, part in map_in_order(encode, chunks, workers) for ids in part]
    ids = np.array(list(chain.from_iterable(encoded)), dtype=np.int32)
    return EncodedNames(by_language, ids, bounds_of([*encoded, []]), spaces)


def _both_ways(names: list[str], tokenizer: PreTrainedTokenizerBase, spaces: Spaces) -> list[list[int]]:
    return list(chain.from_iterable(tokenize_both_ways(names, tokenizer, spaces)))


def bounds_of(lists: Sequence[Sized]) -> np.ndarray:
    """Where each list starts when all are put together, and where the last ends; [len(lists) + 1]."""
    return np.cumsum([0, *map(len, lists)], dtype=np.int64)
