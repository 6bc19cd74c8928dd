"""A glossary, and where its terms stand in a text.

A glossary is a file of `term<TAB>English name`, one a line, UTF-8. All its terms are looked for at once (Aho and
Corasick's automaton). Those count that stand as whole words (`leia.corpus.word_boundaries`): of some that overlap the
one that begins first, of some that begin together the longest.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ahocorasick_rs import AhoCorasick

from leia.base.errors import DropReason, InputError
from leia.base.step import Step, Tally
from leia.base.text import read_written_pairs
from leia.corpus.texts import TextSource, read_texts
from leia.corpus.word_boundaries import is_boundary

_ADVICE = "correct the glossary"


class Match(NamedTuple):
    """A term stands in the characters from `start` to `end`, which is exclusive."""

    start: int
    end: int
    term: str


class _Lower(dict[int, int]):
    """The lower case of each character, for `str.translate`; that of a character stays one, so that positions stay."""

    def __missing__(self, code: int) -> int:
        lower = chr(code).lower()
        self[code] = ord(lower) if len(lower) == 1 else code
        return self[code]


_LOWER = _Lower({ord("ς"): ord("σ")})  # the same letter at the end of a word, where `Σ` stands for both


def lower(text: str) -> str:
    """`text` in lower case, character by character."""
    return text.lower() if text.isascii() else text.translate(_LOWER)


def read_glossary(path: str | Path, ignore_case: bool = False) -> dict[str, str]:
    """`{term: name}`; with `ignore_case` terms are in lower case.

    Raises `InputError` for a line without a term, a name and one tab between, a term with two names, and for none.
    """
    names: dict[str, str] = {}
    lines: dict[str, int] = {}
    for number, term, name in read_written_pairs(Path(path), "term", "English name", _ADVICE):
        key = lower(term) if ignore_case else term
        if names.setdefault(key, name) != name:
            found = f"{term!r} with the name {name!r}, and with {names[key]!r} in line {lines[key]}"
            raise InputError(f"{path}:{number}: expected one name for each term, found {found}; {_ADVICE}")
        lines.setdefault(key, number)
    if not names:
        raise InputError(f"{path}: is empty; expected lines of term<TAB>English name; {_ADVICE}")
    return names


class Linker:
    """Finds the terms of a glossary in texts."""

    def __init__(self, names: Mapping[str, str], ignore_case: bool = False) -> None:
        self._terms, self._ignore_case = list(names), ignore_case
        self._automaton = AhoCorasick(self._terms)

    def find(self, text: str, tally: Tally) -> list[Match]:
        """The terms in `text`, in its order; `tally` counts the places where a term's letters stand."""
        searched = lower(text) if self._ignore_case else text
        found = self._automaton.find_matches_as_indexes(searched, overlapping=True)
        words = [(start, -end, k) for k, start, end in found if is_boundary(text, start) and is_boundary(text, end)]
        kept: list[Match] = []
        for start, minus_end, k in sorted(words):
            if not kept or start >= kept[-1].end:
                kept.append(Match(start, -minus_end, self._terms[k]))
        tally.kept += len(kept)
        tally.drop(DropReason.WITHIN_WORD, len(found) - len(words))
        tally.drop(DropReason.OVERLAPPING_TERM, len(words) - len(kept))
        return kept


def link_texts(source: TextSource, glossary: str | Path, ignore_case: bool, step: Step) -> Iterator[dict[str, Any]]:
    """Yield the texts of `source` as import_articles.py reads them, a span at each term of the glossary.

    `step` counts the articles and the places where terms stand.
    """
    names = read_glossary(glossary, ignore_case)
    linker = Linker(names, ignore_case)
    step.count("articles")  # printed first
    places, distinct = step.count("places of terms"), set()
    for text in read_texts(source, step):
        matches = linker.find(text.text, places)
        distinct.update(match.term for match in matches)
        spans = [{"start": match.start, "end": match.end, "name": names[match.term]} for match in matches]
        yield {**({} if text.title is None else {"title": text.title}), "text": text.text, "spans": spans}
    places.note = f"of {len(distinct):,} of the {len(names):,} terms"
