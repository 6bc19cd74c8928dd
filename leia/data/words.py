"""Where new tokens are learnt: within the words of a text, each the letters of one script with the space before them.

No new token holds a digit or a sign, none goes on behind a word, and none holds two scripts. Japanese writes no spaces,
but mentions mostly begin and end where kanji, hiragana or katakana do: so they stay on token boundaries.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

import numpy as np

LATIN = "LATIN"

_OTHER, _SPACE, _MARK = "", " ", "mark"
_NUMBERS = {_OTHER: 0, _SPACE: 1, _MARK: 2}
"""A number for each kind of character; those of scripts are added as they are met."""


@lru_cache(maxsize=1 << 16)
def script(character: str) -> str:
    """The script of a letter, as Unicode's name of it begins; other strings for a space, for what belongs to the letter
    before it (an accent, a vowel sign), and for all else."""
    category = unicodedata.category(character)
    if category[0] == "M":
        return _MARK
    if category[0] != "L":
        return _SPACE if character == " " else _OTHER
    first, *_ = re.split(r"[ -]", unicodedata.name(character, _OTHER))
    return {"IDEOGRAPHIC": "CJK", "MODIFIER": _MARK}.get(first, first)


def _kinds(text: str) -> np.ndarray:
    """The number of each character's kind, marks as the letter before them."""
    codes, places = np.unique(np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32), return_inverse=True)
    numbers = [_NUMBERS.setdefault(script(chr(code)), len(_NUMBERS)) for code in codes.tolist()]
    kinds = np.array(numbers, dtype=np.int64)[places]
    is_mark = kinds == _NUMBERS[_MARK]
    carriers = np.maximum.accumulate(np.where(is_mark, 0, np.arange(len(kinds))))
    kinds = kinds[carriers]
    kinds[is_mark & (kinds <= _NUMBERS[_MARK])] = _NUMBERS[_OTHER]
    return kinds


def words_of(text: str, left_out: str = "") -> np.ndarray:
    """For each character the number of the word that it stands in; -1 outside of words, and in those of the script
    `left_out`."""
    if not text:
        return np.empty(0, dtype=np.int64)
    kinds = _kinds(text)
    former = np.append(_NUMBERS[_OTHER], kinds[:-1])
    after_space = (former == _NUMBERS[_SPACE]) & (kinds > _NUMBERS[_MARK])
    words = np.cumsum(((kinds != former) & ~after_space) | (kinds == _NUMBERS[_SPACE]))
    outside = (kinds == _NUMBERS[_OTHER]) | (kinds == _NUMBERS.get(left_out, -1))
    # The space before such a letter is not a word either.
    outside[:-1] |= (kinds[:-1] == _NUMBERS[_SPACE]) & outside[1:]
    words[outside] = -1
    return words


def script_to_leave_out(texts: Iterable[str]) -> str:
    """The Latin script, unless most letters of `texts` are of it: so that English, and the English names beside links,
    keep their ids wherever the language has letters of its own."""
    letters: Counter[str] = Counter()
    for text in texts:
        for character, number in Counter(text).items():
            if character.isalpha():
                letters[script(character)] += number
    return "" if 2 * letters[LATIN] > letters.total() else LATIN
