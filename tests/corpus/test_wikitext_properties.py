"""Whatever wikitext holds: no crash, links lie in the text, none is lost without a reason, and the work is linear."""

import sys
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leia.corpus.languages import namespace_names
from leia.corpus.siteinfo import Wiki
from leia.corpus.wikitext.reading import WikitextReader

LANGUAGES = ("es", "zh", "ar", "ja")  # no more than that; variants and full-width marks; letters before links; neither
# fmt: off
PIECES = (
    "[[", "]]", "[", "]", "|", "{{", "}}", "{{{", "}}}", "{|", "|}", "|-", "!", "||", "''", "'''", "'''''", "'", '""',
    "-{", "}-", "-{zh-hans:", "-{H|", "-{R|", ";zh-hant:", "=>zh-cn:", ";", ":", "<ref>", "</ref>", "<ref name=a />",
    "<nowiki>", "</nowiki>", "<nowiki/>", "<math>", "</math>", "<gallery>", "</gallery>", "<pre>", "</pre>", "<poem>",
    "</poem>", "<!--", "-->", "<noinclude>", "</noinclude>", "<includeonly>", "</includeonly>", "<table>", "</table>",
    "<ul>", "<li>", "</ul>", "<code>", "</code>", "<small>", "</small>", "<br>", "<foo>", "<", ">", "/>", "&lt;",
    "&#2;", "&#91;", "&", "%02", "%5B", "%", "__TOC__", "__", "＿＿", "http://", "[http://x.org ", "https:",
    "[https://es.wikipedia.org/wiki/A ", "[//", "[mailto:a", "[[Archivo:A.jpg|", "[[Categoría:A", "[[A|", "[[:en:", "#",
    "\n", "\n\n", "\n* ", "\n# ", "\n: ", "\n== ", " ==\n", "\n=", "=", "\n{|", "\n|}", "\n|", " ", "\t", "  ", "\u3000",
    "a", "A b", "España", "日本", "و", "1", ".", ",", "(", ")", "\x01", "\x02", "\x03", "\x04", "\x05", "\x06", "\x07",
    "\x02" "0\x07", "\x04" "0\x05", "\0", "\r", "\u2028", "\u200e",
)
# fmt: on


@cache
def reader_of(language: str) -> WikitextReader:
    return WikitextReader(Wiki(f"{language}wiki", language, True, namespace_names(language)))


def check(language: str, wikitext: str) -> None:
    read = reader_of(language).read(wikitext, "Título")
    assert read.links == len(read.titles) + read.dropped.total()
    assert len(read.starts) == len(read.ends) == len(read.titles) and all(read.titles)
    position = 0
    for start, end in zip(read.starts, read.ends, strict=True):
        assert position <= start < end <= len(read.text)
        assert read.text[start:end].strip(" ")
        position = end
    assert not [mark for mark in map(chr, range(9)) if mark in read.text]


pages = st.lists(st.sampled_from(PIECES), max_size=60).map("".join)


@given(st.sampled_from(LANGUAGES), pages)
def test_links_lie_in_the_text_and_none_is_lost(language, wikitext):
    check(language, wikitext)


@pytest.mark.thorough
@settings(max_examples=10_000)
@given(st.sampled_from(LANGUAGES), st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=5)), max_size=300))
def test_ten_thousand_pages(language, pieces):
    check(language, "".join(pieces))


def work_of(language: str, wikitext: str) -> int:
    """How many lines of this project run while `wikitext` is read, and how many characters they hand over: what
    a loop does shows in the first, slices and patterns in the time alone."""
    lines = 0

    def trace(frame, event, _):
        nonlocal lines
        lines += event == "line"
        return trace if "leia" in frame.f_code.co_filename else None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        check(language, wikitext)
    finally:
        sys.settrace(before)
    return lines


HOSTILE = [*PIECES, *(f"{piece}a" for piece in PIECES), *(f"{piece}\n" for piece in PIECES)]
