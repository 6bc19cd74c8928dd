"""Whatever wikitext holds: no crash, anchors in their text, every link accounted for, time in proportion to length."""

import random
import re
import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leia.corpus.languages import namespace_names
from leia.corpus.siteinfo import Wiki
from leia.corpus.wikitext.reading import ReadArticle, WikitextReader

READERS = {
    language: WikitextReader(Wiki(f"{language}wiki", language, True, namespace_names(language)))
    for language in ("es", "zh", "ar")
}
# fmt: off
PIECES = [
    "[[", "]]", "[", "]", "{{", "}}", "{{{", "}}}", "{|", "|}", "\n|-\n", "\n|", "|", "||", "-{", "}-", "-{H|",
    "zh-hans:", ";zh-hant:", "=>", "''", "'''", "'''''", "'", "<ref>", "</ref>", "<ref name=a/>", "<nowiki>",
    "</nowiki>", "<nowiki/>", "<!--", "-->", "<math>", "</math>", "<code>", "</code>", "<br>", "<br/>", "<div>",
    "</div>", "<small>", "<ul>", "<li>", "</ul>", "<table>", "</table>", "<noinclude>", "</noinclude>",
    "<includeonly>", "</includeonly>", "<gallery>", "</gallery>", "<pre>", "</pre>", "<foo>", "<", ">", "&lt;",
    "&amp;", "&#27;", "&#x41;", "&nbsp;", "&", "==", "=", "\n", "\n\n", "\n* ", "\n# ", "\n: ", "\n; ", "\n----\n",
    " ", "  ", "\t", "\u3000", "\u200e", "%C3%B1", "#", ":", "Archivo:", "Categoría:", "en:", ":en:", "w:",
    "[http://x.org ", "[//es.wikipedia.org/wiki/", "http://", "mailto:a", "__TOC__", "__", "España", "libro", "日本",
    "a", "b c", "...", "....", ",,", "(", ")", " )", "\x02", "\x07", "\x04", "\x041\x05", "\r",
]
# fmt: on
SENTENCE = "\nLa [[España]] de [[libro|los libros]].\n"
MARKS = re.compile("[\0-\x08]")


def check(read: ReadArticle) -> None:
    assert read.links == len(read.titles) + read.dropped.total()
    assert len(read.starts) == len(read.ends) == len(read.titles)
    position = 0
    for start, end, title in zip(read.starts, read.ends, read.titles, strict=True):
        assert position <= start < end <= len(read.text)
        assert read.text[start:end].strip(" ") == read.text[start:end] and title
        position = end
    assert not MARKS.search(read.text)


@given(st.sampled_from(list(READERS)), st.lists(st.sampled_from(PIECES), max_size=40))
@settings(max_examples=400, deadline=None)
def test_any_pieces_of_markup(language, pieces):
    check(READERS[language].read("".join(pieces)))


@given(st.text(max_size=200))
def test_any_text(text):
    check(READERS["zh"].read(text))


def random_pages(seed: int, number: int) -> list[str]:
    """Pages of up to some thousand pieces, some of which are much more frequent than others, and sound sentences."""
    drawn = random.Random(seed)
    pages = []
    for _ in range(number):
        weights = [drawn.random() ** 8 for _ in PIECES]
        pieces = drawn.choices(PIECES, weights, k=int(10 ** drawn.uniform(0, 3.3)))
        pages.append("".join(piece if drawn.random() < 0.9 else SENTENCE for piece in pieces))
    return pages


def check_pages(number: int) -> None:
    kept = Counter(len(read.titles) for page in random_pages(1, number) if not check(read := READERS["es"].read(page)))
    assert sum(kept.values()) == number and len(kept) > 3, "the pages hold links"


def test_generated_pages():
    check_pages(200)


@pytest.mark.thorough
def test_ten_thousand_generated_pages():
    check_pages(10_000)


# fmt: off
HOSTILE = [
    *PIECES, "[[" * 50 + "a|", "]]" * 50,
    "[[a|", "[[Archivo:a|", "[[Archivo:a|[[b]]", "[[a|[[b", "]] [[", "[[a]] [[b|", "{{a|", "{{{{{", "}}}}}", "{{a}}{{",
    "{{a|{{b}}", "<ref", "<ref>x", "<ref>x</ref><ref>", "<!-- x ", "<!-- x --><!--", "<nowiki>[[", "<li>a", "<ul><li>",
    "<table><tr>", "</li>", "<a b=", "< ", "<b ", "&#", "&x", "-{a", "-{zh-hans:a;", "-{a}--{", "}- -{", "-{H|-{",
    "''a'''", "'''''a''", "\n{|\n|a", "\n|}\n", "\n{|\n{|", "[http://a ", "[http://a b] [http://", "[[a|http://b ",
    "== a ==\n", "==a", "=\n=", "\n* [[a", "__a__", "____", "__T", "\u200e ", "a:", "w:w:", "%", "%2", "./", "a/./",
    "~~~", "(( ", " , ",
]
# fmt: on


def seconds(reader: WikitextReader, piece: str, length: int) -> float:
    text = piece * (length // len(piece))
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        check(reader.read(text))
        best = min(best, time.process_time() - start)
    return best


@pytest.mark.parametrize("language", ["es", "zh"])
def test_time_grows_with_the_length(language):
    """Eight times the text takes less than 32 times the time: it would take 64 times where it grew with the square."""
    reader = READERS[language]
    slow = []
    for piece in HOSTILE:
        short, long = seconds(reader, piece, 4_000), seconds(reader, piece, 32_000)
        if long > 32 * max(short, 0.0005):
            slow.append((piece, short, long))
    assert not slow


@pytest.mark.thorough
@pytest.mark.parametrize("language", ["es", "zh"])
def test_a_megabyte_of_anything_takes_seconds(language):
    for piece in HOSTILE:
        assert seconds(READERS[language], piece, 1_000_000) < 60, piece
