"""What is shown as it stands in the wikitext, or by a name and a number: kept apart while the rest is read."""

import re
from collections import Counter

from leia.corpus.wikitext.marks import LITERAL_END, LITERAL_START
from leia.corpus.wikitext.references import decode_references

_MARK = re.compile(f"{LITERAL_START}([0-9]+){LITERAL_END}")


class Literals:
    """Pieces of text that are shown as they are, and formulas, each with a mark in its place in the wikitext."""

    def __init__(self) -> None:
        self._pieces: list[tuple[str, str]] = []

    def mark(self, piece: str, kind: str = "") -> str:
        """The mark that stands for `piece`. A `kind` (formula, codice) is shown as its name and a number."""
        self._pieces.append((kind, piece if kind else decode_references(piece)))
        return f"{LITERAL_START}{len(self._pieces) - 1}{LITERAL_END}"

    def number(self, text: str) -> None:
        """Number the formulas of `text` in their order, those of the same source alike, as WikiExtractor does."""
        if not any(kind for kind, _ in self._pieces):
            return
        first: dict[tuple[str, str], int] = {}
        met: Counter[str] = Counter()
        for mark in _MARK.finditer(text):
            kind, piece = self._pieces[int(mark[1])]
            if kind:
                met[kind] += 1
                number = first.setdefault((kind, piece), met[kind])
                self._pieces[int(mark[1])] = "", f"{kind}_{number}"

    def put_back(self, text: str) -> str:
        """`text` with the pieces in the places of their marks."""
        return _MARK.sub(lambda mark: self._pieces[int(mark[1])][1], text) if LITERAL_START in text else text
