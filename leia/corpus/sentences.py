"""The sentences of a text, and where they start: at each line, and within it where the library of Wikimedia says."""

from itertools import pairwise

import numpy as np
from sentencex import get_sentence_boundaries


def sentence_starts(text: str, language: str) -> np.ndarray:
    """The first character of each sentence of `text`, ascending; `language` is the code of its Wikipedia.

    A line break ends a sentence: headings and items of lists have no full stop.
    """
    starts = []
    line_start = 0
    for line in text.split("\n"):
        if line.strip():
            found = get_sentence_boundaries(language, line)
            starts += [line_start + _first_word(line, one["start_index"]) for one in found]
        line_start += len(line) + 1
    return np.unique(np.array(starts, dtype=np.int64))


def sentences(text: str, language: str) -> list[str]:
    """The sentences of `text`, without the white space around them."""
    starts = sentence_starts(text, language).tolist()
    return [text[start:end].strip() for start, end in pairwise([*starts, len(text)])]


def _first_word(line: str, start: int) -> int:
    """`start`, or the first character from there that is no white space."""
    rest = line[start:]
    return start + len(rest) - len(rest.lstrip()) if rest.strip() else start
