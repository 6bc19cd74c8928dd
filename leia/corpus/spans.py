"""Spans: the marked places of a text, as people write them.

A span is `{"start", "end"}` in characters, end exclusive, and what it names: `title`, a page of the language's
Wikipedia, which is looked up as the extraction looks up a link's; `wikidata_id`; both, which stand as they are; or
`name`, the name itself. Other keys are not read, and null is as good as missing.
"""

import re
from typing import Any, NamedTuple

from leia.base.errors import DropReason, InputError
from leia.base.step import Tally
from leia.corpus.texts import Text

_QID = re.compile(r"Q[1-9][0-9]*")
_ADVICE = "correct it, or leave such spans out with --drop_bad_spans"


class Span(NamedTuple):
    start: int
    end: int
    title: str | None
    qid: str | None
    name: str | None


class BadSpan(Exception):
    """Why a span is not one: for the tally, and what was expected and found."""

    def __init__(self, reason: DropReason, expected: str, found: object) -> None:
        super().__init__(f"expected {expected}, found {found}")
        self.reason = reason


def read_spans(text: Text, column: str, tally: Tally, drop_bad_spans: bool) -> list[Span]:
    """The spans of a text in its order, counted in `tally`.

    Raises `InputError` for a bad one, or with `drop_bad_spans` leaves it out; of two that overlap the one that begins
    later, or is shorter.
    """
    if not isinstance(text.spans, list | None):
        raise InputError(f"{text.place}: {column}: expected a list of spans, found {text.spans!r:.60}; correct it")
    kept: list[Span] = []
    for number, given in _in_order(text.spans or []):
        try:
            span = read_span(given, len(text.text))
            if kept and span.start < kept[-1].end:
                found = f"one from {span.start} to {span.end} after one from {kept[-1].start} to {kept[-1].end}"
                raise BadSpan(DropReason.OVERLAPPING_SPAN, "spans that do not overlap", found)
        except BadSpan as error:
            if not drop_bad_spans:
                raise InputError(f"{text.place}: {column}[{number}]: {error}; {_ADVICE}") from error
            tally.drop(error.reason)
        else:
            kept.append(span)
    tally.kept += len(kept)
    return kept


def _in_order(spans: list[Any]) -> list[tuple[int, Any]]:
    """The spans with their numbers by their starts, of two that start together the longer first; at the beginning those
    that have no such, which are errors."""

    def place(numbered: tuple[int, Any]) -> tuple[int, int]:
        span = numbered[1]
        ends = (span.get("start"), span.get("end")) if isinstance(span, dict) else ()
        return (ends[0], -ends[1]) if ends and all(type(end) is int for end in ends) else (-1, 0)

    return sorted(enumerate(spans), key=place)


def read_span(given: Any, length: int) -> Span:
    """A span of a text of this length. Raises `BadSpan`."""
    if not isinstance(given, dict):
        raise BadSpan(DropReason.NOT_A_SPAN, "an object with start and end", f"{given!r:.60}")
    start, end = given.get("start"), given.get("end")
    if type(start) is not int or type(end) is not int:
        raise BadSpan(DropReason.NOT_A_SPAN, "whole numbers start and end", f"start {start!r}, end {end!r}")
    if not 0 <= start <= length or not 0 <= end <= length:
        found = f"start {start}, end {end}"
        raise BadSpan(DropReason.OUTSIDE_TEXT, f"positions within the {length} characters of the text", found)
    if start >= end:
        raise BadSpan(DropReason.EMPTY_SPAN, "a start before its end", f"start {start}, end {end}")
    title, qid, name = (given.get(key) for key in ("title", "wikidata_id", "name"))
    for key, value in (("title", title), ("wikidata_id", qid), ("name", name)):
        if value is not None and not (isinstance(value, str) and value.strip()):
            raise BadSpan(DropReason.NOT_A_SPAN, f"words as its {key}", f"{value!r:.60}")
    if qid is not None and not _QID.fullmatch(qid):
        raise BadSpan(DropReason.NOT_A_QID, "a Wikidata id such as Q42", f"{qid!r:.60}")
    if (name is None) == (title is None and qid is None):
        given_keys = [key for key, value in (("title", title), ("wikidata_id", qid), ("name", name)) if value]
        expected = "a title, a wikidata_id, both of these, or a name alone"
        raise BadSpan(DropReason.NOT_A_SPAN, expected, " and ".join(given_keys) or "none of them")
    return Span(start, end, title, qid, name)
