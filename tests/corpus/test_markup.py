"""Markup of any kind: read as BeautifulSoup reads it, nothing lost but what it loses, and in linear time."""

import json
import subprocess
import sys

import pytest
from bs4 import BeautifulSoup
from hypothesis import example, given
from hypothesis import strategies as st

from benchmarks.beautifulsoup import split_links_by_beautifulsoup
from leia.corpus.linked_text import LinkedText
from leia.corpus.markup import split_links_of_any_markup
from leia.corpus.wikiextractor import find_files, read_documents, split_links

DROPS_UNFINISHED = BeautifulSoup("x<a", "html.parser").get_text() == "x"
like_beautifulsoup = pytest.mark.skipif(
    DROPS_UNFINISHED, reason="the html.parser of this patch version of Python drops what follows an unfinished tag"
)

LINKS = ['<a href="x">', "</a>", "<A HREF=x>", "<a href='q' href=\"z\">", '<a href="&amp;B"/>', "<a", ' href="', " =="]
TAGS = [
    "<b>",
    "</b>",
    "<br>",
    "<br/>",
    "</br>",
    "<pre>",
    "</pre>",
    '<p class="a b">',
    "</p >",
    "</ x>",
    "</>",
    "</b x>",
]
RAW = ["<script>", "</script>", "<style>", "</ STYLE>", "<rt>", "</rt>", "<template>", "</template>", "<script/>"]
PARTS = ["<", ">", "/>", '"', "'", "=", "<!", "<?", "</", "<!--", "-->", "- ", "<!DOCTYPE x>", "<b\0c>", "\0", "<日>"]
SECTIONS = ["<![", "<![CDATA[", "<![if x]>", "<![endif]", "]>", "] ]>"]
REFERENCES = ["&", "&amp;", "&amp", "&notit;", "&unknown;", "&B", "&a-", "foo", ";", "&#", "&#38;", "&#x26", "&#x;"]
NUMBERS = ["&#0;", "&#128;", "&#129;", "&#13;", "&#xD800;", "&#xFDD0;", "&#99999999;"]
CHARACTERS = [" ", "\n", "\n\n", "\t", "\x0b", "\x1c", "\xa0", "日本", "x", "İ", "-", "."]
PIECES = st.sampled_from([*LINKS, *TAGS, *RAW, *PARTS, *SECTIONS, *REFERENCES, *NUMBERS, *CHARACTERS])


@like_beautifulsoup
# A document always ends with a line break (html.parser loses the "&" of "&B" at the very end).
@given(st.lists(PIECES, max_size=30).map(lambda pieces: "".join(pieces) + "\n"))
@example("<ruby>日<rt>ひ</rt></ruby><rt>x</rt><template><b>y</b></template>\n")
@example("&#x; <b>y</b> &#x; <b>z</b>\n")
@example("<br>x </br> <![CDATA[]]>\n")
@example('<a b="> <i " \0&amp; d="x > y\n')
def test_it_is_read_as_beautifulsoup_reads_it(markup):
    linked = split_links_of_any_markup(markup)
    assert linked == split_links_by_beautifulsoup(markup)
    spans = zip(linked.starts, linked.ends, strict=True)
    assert all(0 <= start <= end <= len(linked.text) for start, end in spans)


@like_beautifulsoup
@pytest.mark.parametrize("language", ["ja", "nv"])
def test_real_documents_are_read_as_beautifulsoup_reads_them(request, shared, language):
    files = find_files(shared / "data/wikiextractor" / language)
    documents = [document.markup for file in files for document in read_documents(file)]
    for markup in documents if _thorough(request) else documents[::10]:
        assert split_links_of_any_markup(markup) == split_links(markup) == split_links_by_beautifulsoup(markup)


@pytest.mark.parametrize("unfinished", ["<a b", '<a href="B>', "<!-- b", "<![CDATA[ b", "<? b", "</b", "<"])
def test_what_is_never_finished_is_text_on_every_python(unfinished):
    markup = f'x<a href="A">y</a>{unfinished} c\nd'
    assert split_links_of_any_markup(markup) == LinkedText(f"xy{unfinished} c\nd", [1], [2], ["A"])


def _thorough(request):
    return request.config.getoption("--thorough")


HOSTILE = [
    *("<a ", '<a href="', '<a b=">" ', "<a b='>\" ", "<a b==<a \"='", "<a =====", "<a <a", "<a/", "<a\0"),
    *("<b>", "<br>", "<br/>", "</b>", "</br>", '<a href="x">', "<pre>", "<rt>", "<template>", "<script>"),
    *("<!--", "<!-- >", "<![", "<![cdata[ >", "<![if >", "<?", "<!", "</", "</ ", "--", "]] ", "<", ">"),
    *("&", "&#", "&#x;", "&lt", "&a.", " ", "<a b=\">'\" c='>", "<script></"),
]


def test_hostile_markup_ends(request):
    # A megabyte of each is read within 1.5 s; it took minutes where unfinished markup was looked at again and again.
    size, seconds = (1_000_000, 600) if _thorough(request) else (100_000, 60)
    texts = [part * (size // len(part)) + end + "\n" for part in HOSTILE for end in ("", "'>")]
    program = "import json, sys; from leia.corpus.wikiextractor import split_links; "
    program += "[split_links(text) for text in json.load(sys.stdin)]"
    subprocess.run([sys.executable, "-c", program], input=json.dumps(texts), text=True, check=True, timeout=seconds)


def test_a_reference_to_a_number_of_a_million_digits_is_the_replacement_character():
    digits = "9" * 1_000_000
    assert split_links_of_any_markup(f"a&#{digits};b&#x{digits};").text == "a\ufffdb\ufffd"
