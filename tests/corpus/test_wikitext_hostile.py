"""Whatever wikitext holds: no crash, links lie in the text, none is lost without a reason, and the work is linear."""

import time
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
    "-{", "}-", "-{zh-hans:", "-{H|", "-{R|", ";zh-hant:", "=>zh-cn:", ";", ":", "<ref>", "</ref>", "<ref ",
    "<nowiki>", "</nowiki>", "<nowiki/>", "<math>", "</math>", "<gallery>", "</gallery>", "<pre>", "</pre>", "<poem>",
    "</poem>", "<!--", "-->", "<noinclude>", "</noinclude>", "<includeonly>", "</includeonly>", "<table>", "</table>",
    "<ul>", "<li>", "</ul>", "<code>", "</code>", "<small>", "</small>", "<br>", "<foo>", "<", ">", "/>", "&lt;",
    "&#2;", "&#91;", "&", "%02", "%5B", "%", "__TOC__", "__", "＿＿", "http://", "[http://x.org ", "https:",
    "[https://es.wikipedia.org/wiki/A ", "[//", "[mailto:a", "[[Archivo:A.jpg|", "[[Categoría:A", "[[A|", "[[:en:", "#",
    "\n", "\n\n", "\n* ", "\n# ", "\n: ", "\n== ", " ==\n", "\n=", "=", "\n{|", "\n|}", "\n|", " ", "\t", "  ",
    "\u3000", "a", "A b", "España", "日本", "و", "1", ".", ",", "(", ")", "\x01", "\x02", "\x03", "\x04", "\x05",
    "\x06", "\x07", "\x02" "0\x07", "\x04" "0\x05", "\0", "\r", "\u2028", "\u200e",
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


def assert_linear(unit: str, language: str, before: str = "", behind: str = "", length: int = 10_000) -> None:
    """Four times the text takes four times as long, and not more than three times that on a machine that is busy."""
    reader = reader_of(language)
    short, long = (f"{before}{unit * (size // len(unit))}{behind}" for size in (length, 4 * length))
    for _ in range(5):  # a machine that is busy is not so each time
        seconds = []
        for wikitext in (short, long):
            start = time.process_time()
            reader.read(wikitext)
            seconds.append(time.process_time() - start)
        if seconds[1] <= 12 * max(seconds[0], SHORTEST):
            return
    raise AssertionError(
        f"{before!r} + {unit!r} * n + {behind!r}: {seconds[0]:.3f} s, of four times n {seconds[1]:.3f} s"
    )


SHORTEST = 0.002  # seconds; less is not measured well


@pytest.mark.parametrize("more", ["", "a"])
def test_the_work_grows_with_the_length(more):
    for piece in PIECES:
        assert_linear(piece + more, "zh", length=5_000)


@pytest.mark.thorough
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("more", ["", "a", " ", "\n"], ids=["alone", "a letter", "a space", "a line"])
def test_the_work_of_200_000_characters(language, more):
    for piece in PIECES:
        assert_linear(piece + more, language, length=50_000)


@pytest.mark.parametrize(
    ("before", "unit"),
    [
        ("[[A|\nb", " "),
        ("<nowiki>\nb", " "),
        ("-{zh-hans:a;", " "),
        ("-{zh-hans:a;", "x=>"),
        ("-{", ";zh-hant:"),
        ("=", " = "),
        ("[http://x.org", " "),
        ("[[A", "\n"),
        ("", "[[Archivo:A.jpg|[[B]]"),
        ("", "[[A|[b"),
        ("{|\n", "{|\n|"),
        ("<poem>", "</poem>"),
        ("", "<poem>"),
        ("", "<b "),
        ("", "''[[A|''b]]"),
    ],
)
def test_the_work_within_a_mark_grows_with_the_length(before, unit):
    assert_linear(unit, "zh", before, "x\n]]]</nowiki>}-", length=20_000)


@given(st.sampled_from(LANGUAGES), st.lists(st.sampled_from(PIECES), min_size=2, max_size=4).map("".join))
@settings(max_examples=60)
def test_the_work_of_several_pieces_grows_with_the_length(language, unit):
    assert_linear(unit, language)


@pytest.mark.thorough
@settings(max_examples=500)
@given(
    st.sampled_from(LANGUAGES),
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=4).map("".join),
    st.sampled_from(("", *PIECES)),
    st.sampled_from(("", *PIECES)),
)
def test_the_work_of_200_000_characters_of_several_pieces(language, unit, before, behind):
    assert_linear(unit, language, before, behind, length=50_000)


@pytest.mark.parametrize(
    "wikitext",
    [
        "".join(f"-{{zh-hans:{'x' * 20}" for _ in range(4000)) + "}-" * 4000,
        "{{" * 40_000 + "x" * 40_000 + "}}" * 40_000,
        "[[A|" * 20_000 + "x" + "]]" * 20_000,
        "-{zh-hans:a;" + " " * 100_000 + "b}-",
        "[[Archivo:A.jpg|" * 10_000 + "]]" * 10_000,
    ],
    ids=["rules", "templates", "links", "spaces in a rule", "files"],
)
def test_what_lies_in_each_other(wikitext):
    check("zh", wikitext)
