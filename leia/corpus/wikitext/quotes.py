"""Apostrophes of wikitext: bold is left out, italics are quotation marks, as in WikiExtractor's text.

Which of several apostrophes mean bold, italics or themselves: MediaWiki's Parser::doAllQuotes.
"""

import re

from leia.corpus.wikitext.marks import LINK_START, without_removed

_RUNS = re.compile("(''+)")
_DOUBLED = re.compile(f'""([^"{LINK_START}]*)""')
_LONG_ENOUGH = 100  # for the last two characters to be among it, marks left out
ITALICS, BOLD, BOTH = 2, 3, 5


def read_quotes(line: str) -> str:
    """`line` with quotation marks for italics, and without the apostrophes of bold.

    Italics that are never closed have one mark; doubled marks are one, but around links: as in WikiExtractor's text.
    """
    parts = _RUNS.split(line)
    runs = _lengths(parts)
    _settle_odd_ones(parts, runs)
    # A quotation mark for each start and end of italics; none where bold and italics begin and end together.
    open_styles: list[int] = []
    begun = 0  # the place of the italics that are open
    for place, run in zip(range(1, len(parts), 2), runs, strict=True):
        parts[place] = ""
        if run == BOTH and not open_styles:
            open_styles = [BOTH]
            begun = place
        elif open_styles == [BOTH]:  # what began together ends: both, or one first
            if run != BOTH:
                parts[begun] = '"'
                open_styles = [BOLD if run == ITALICS else ITALICS]
                parts[place] = '"' if run == ITALICS else ""
            else:
                open_styles = []
        else:
            for style in (ITALICS, BOLD):
                if run in (style, BOTH):
                    (open_styles.remove if style in open_styles else open_styles.append)(style)
                    if style == ITALICS:
                        parts[place] = '"'
    text = "".join(parts)
    return _DOUBLED.sub(r'"\1"', text) if '""' in text else text


def _lengths(parts: list[str]) -> list[int]:
    """What each run of apostrophes means by its length; those too many go to the text before it."""
    runs = []
    for place in range(1, len(parts), 2):
        length = len(parts[place])
        meaning = ITALICS if length == 2 else BOLD if length <= 4 else BOTH
        parts[place - 1] += "'" * (length - meaning)
        runs.append(meaning)
    return runs


def _settle_odd_ones(parts: list[str], runs: list[int]) -> None:
    """Where bold and italics are both left open, one bold is an apostrophe and italics: that behind a word of one
    letter, else behind a longer one, else behind a space."""
    if sum(run != BOLD for run in runs) % 2 == 0 or sum(run != ITALICS for run in runs) % 2 == 0:
        return
    chosen = {}
    for number, run in enumerate(runs):
        if run == BOLD:
            before = without_removed(parts[2 * number][-_LONG_ENOUGH:])
            kind = "space" if before[-1:] == " " else "letter" if before[-2:-1] == " " else "word"
            chosen.setdefault(kind, number)
    for kind in ("letter", "word", "space"):
        if kind in chosen:
            number = chosen[kind]
            runs[number] = ITALICS
            parts[2 * number] += "'"
            return
