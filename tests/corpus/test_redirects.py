"""Redirects: the quick scan agrees with an XML parser, chains end, cycles and titles with an article are left out."""

import bz2
import re
from functools import partial
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leia.base.errors import InputError
from leia.base.step import Counts
from leia.corpus.redirects import follow_chains, read_redirect_file, read_redirects, write_redirects
from leia.corpus.titles import normalize_title

of_japanese = partial(normalize_title, language="ja")
HEADER = '<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.10/" xml:lang="{language}">\n'


def dump(tmp_path, pages, language="en", end="</mediawiki>\n"):
    path = tmp_path / "wiki-pages-articles.xml.bz2"
    path.write_bytes(bz2.compress((HEADER.format(language=language) + pages + end).encode()))
    return path


def page(title, target=None, text="words", ns="    <ns>0</ns>\n"):
    redirect = f"    <redirect title={quoteattr(target)} />\n" if target is not None else ""
    return (
        f"  <page>\n    <title>{escape(title)}</title>\n{ns}    <id>1</id>\n{redirect}"
        f'    <revision><text xml:space="preserve">{escape(text)}</text></revision>\n  </page>\n'
    )


def test_only_pages_with_a_redirect_are_kept_and_all_are_counted(tmp_path):
    pages = page("Fire") + page("Blaze", "Fire") + page("Trap", text='<redirect title="x" />')
    counts = Counts()
    redirects = read_redirects([dump(tmp_path, pages)], counts)
    assert redirects == {"Blaze": "Fire"}
    assert counts.count("pages").as_dict() == {"read": 3, "kept": 1, "dropped": {"not a redirect": 2}}


@pytest.mark.parametrize(
    ("direct", "followed"),
    [
        ({"A": "B"}, {"A": "B"}),
        ({"A": "B", "B": "C"}, {"A": "C", "B": "C"}),
        ({"B": "C", "A": "B"}, {"B": "C", "A": "C"}),  # the order of the dump stays
        ({"A": "B", "B": "A"}, {}),
        ({"A": "A"}, {}),
        ({"X": "A", "A": "B", "B": "A", "Y": "Z"}, {"Y": "Z"}),
        (
            {"blaze": "Fire", "Big blaze": "Blaze"},
            {"blaze": "Fire", "Big blaze": "Fire"},
        ),  # keys are looked up normalised
    ],
)
def test_chains_are_followed_to_their_end_and_cycles_left_out(direct, followed):
    result = follow_chains(direct, _normal)
    assert result == followed
    assert list(result) == list(followed)


CASE_SENSITIVE = "<siteinfo><dbname>jbowiki</dbname><case>case-sensitive</case></siteinfo>\n"


def test_in_a_case_sensitive_wiki_first_letters_stay_and_tell_titles_apart(tmp_path):
    pages = page("mlatu", "danlu_barda") + page("Danlu barda", "X") + page("a", "A") + page("A", "b") + page("B", "a")
    assert read_redirects([dump(tmp_path, CASE_SENSITIVE + pages, "jbo")], Counts()) == {
        "mlatu": "danlu barda",
        "Danlu barda": "X",
        "a": "b",
        "A": "b",
        "B": "b",
    }


LAYOUTS = {
    "usual": lambda text: text,
    "attribute order": lambda text: text.replace("<redirect ", "<redirect\n x='1' "),
    "redirect later": lambda text: text.replace("<redirect", "<restrictions>x</restrictions>\n    <redirect"),
    "id first": lambda text: re.sub(r"(<ns>0</ns>)?\s*<id>1</id>", r"<id>1</id>\n    \1", text),
    "comment in the article": lambda text: text if "<redirect" in text else text.replace("<id>", "<!-- --><id>"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("ns", ["    <ns>0</ns>\n", ""], ids=["today's dumps", "dumps of before 2012"])
@pytest.mark.parametrize("article_first", [True, False], ids=["article first", "redirect first"])
@pytest.mark.parametrize("title", ["Perla", 'AT&T "1"', "O'Neill"])
def test_an_article_wins_over_a_redirect_of_its_title(tmp_path, title, article_first, ns, layout):
    both = [page(title, ns=ns), page(title, "Perla (joya)", ns=ns)]
    pages = "".join(map(LAYOUTS[layout], both if article_first else both[::-1]))
    pages += page("Joya", title, ns=ns) + page("Other", "Fire", ns=ns)
    counts = Counts()
    redirects = read_redirects([dump(tmp_path, pages)], counts)
    assert redirects == {"Joya": title, "Other": "Fire"}
    assert counts.count("pages").dropped == {"not a redirect": 1, "the title has a page of its own": 1}
    assert counts.count("pages").kept == 2


def test_an_article_is_none_of_its_title_in_another_case_where_case_tells_titles_apart(tmp_path):
    pages = page("mlatu") + page("Mlatu", "danlu")
    assert read_redirects([dump(tmp_path, CASE_SENSITIVE + pages, "jbo")], Counts()) == {"Mlatu": "danlu"}
    assert read_redirects([dump(tmp_path, pages)], Counts()) == {}


def test_only_articles_win_over_redirects(tmp_path):
    pages = page("Template:A", ns="    <ns>10</ns>\n") + page("Template:A", "Template:B", ns="    <ns>10</ns>\n")
    assert read_redirects([dump(tmp_path, pages)], Counts()) == {"Template:A": "Template:B"}


def test_a_title_that_redirects_twice_is_counted_as_such(tmp_path):
    counts = Counts()
    assert read_redirects([dump(tmp_path, page("A", "B") + page("A", "C"))], counts) == {"A": "C"}
    assert counts.count("pages").as_dict()["dropped"] == {"a later row has the same title": 1}


def test_targets_are_normalised_as_the_wiki_of_the_dump_does(tmp_path):
    redirects = read_redirects([dump(tmp_path, page("A", "istanbul") + page("B", "new_York"), language="tr")], Counts())
    assert redirects == {"A": "İstanbul", "B": "New York"}


TITLES = st.text(
    st.one_of(st.sampled_from("&<>\"'_ ;a#日"), st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])),
    min_size=1,
    max_size=12,
).filter(lambda title: title == title.strip() and "\ufffe" not in title and "\uffff" not in title)


@given(st.lists(st.tuples(TITLES, st.none() | TITLES, st.sampled_from(["old", *LAYOUTS])), max_size=8))
def test_the_scan_equals_a_full_parse(scratch, drawn):
    pages = ""
    for title, target, layout in drawn:
        text = page(title, target, ns="" if layout == "old" else "    <ns>0</ns>\n")
        pages += LAYOUTS.get(layout, str)(text)
    path = scratch / "pages-articles.xml"
    path.write_text(HEADER.format(language="en") + pages + "</mediawiki>\n", encoding="utf-8", newline="")
    tree = ElementTree.fromstring("<all>" + pages + "</all>")
    expected = {
        element.findtext("title"): element.find("redirect").attrib["title"]
        for element in tree
        if element.find("redirect") is not None
    }
    counts = Counts()
    redirects = read_redirects([path], counts)
    articles = {_normal(element.findtext("title")) for element in tree if element.find("redirect") is None}
    direct = {title: _normal(target) for title, target in expected.items() if _normal(title) not in articles}
    assert redirects == follow_chains(direct, _normal)
    assert counts.count("pages").read == len(drawn)


def _normal(title):
    return normalize_title(title, "en")


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'


@pytest.mark.parametrize("place", ["before the dump", "before the page", "in the page", "around the page"])
def test_an_entity_bomb_does_not_expand(tmp_path, place):
    hostile = page("A", "&b;").replace("&amp;b;", "&b;").replace("<redirect ", "<redirect x='1' ")  # parsed as XML
    text = {
        "before the dump": BOMB + HEADER.format(language="en") + hostile,
        "before the page": HEADER.format(language="en") + BOMB + hostile,
        "in the page": HEADER.format(language="en") + hostile.replace("<page>", f"<page>{BOMB}"),
        "around the page": BOMB.replace("aaaaaaaaaa", "<page>") + HEADER.format(language="en") + hostile,
    }[place]
    path = tmp_path / "d.xml"
    path.write_text("<?xml version='1.0'?>" + text + "</mediawiki>\n")
    with pytest.raises(InputError, match="not XML"):
        read_redirects([path], Counts())


def test_a_dump_that_breaks_off_names_its_last_page_or_is_used_as_far_as_it_goes(tmp_path):
    path = dump(tmp_path, page("Blaze", "Fire") + page("Last") + "  <page>\n    <title>Half", end="")
    with pytest.raises(InputError, match=r"last of its 2 complete pages is 'Last'.*--allow_truncated"):
        read_redirects([path], Counts())
    counts = Counts()
    redirects = read_redirects([path], counts, allow_truncated=True)
    assert redirects == {"Blaze": "Fire"}
    assert any("after the break" in reason for reason in counts.count("pages").dropped)


def test_what_is_written_is_read_back(tmp_path):
    write_redirects({"a b": "C", "日本国": "日本"}, tmp_path / "r.tsv")
    assert read_redirect_file(tmp_path / "r.tsv", of_japanese) == {"A b": "C", "日本国": "日本"}
    (tmp_path / "r.tsv").write_text("no tab\n")
    with pytest.raises(InputError, match=r"r\.tsv:1: expected title<TAB>target"):
        read_redirect_file(tmp_path / "r.tsv", of_japanese)


def test_damaged_text_of_a_plain_dump_is_an_input_error(tmp_path):
    path = tmp_path / "d.xml"
    whole = (HEADER.format(language="en") + page("Blaze", "Fire") + "</mediawiki>\n").encode()
    path.write_bytes(whole.replace(b"Blaze", b"Bl\xffze"))
    with pytest.raises(InputError, match="not UTF-8"):
        read_redirects([path], Counts())
    path.write_bytes(whole.replace(b"<title>", b"<titl\x00>"))
    with pytest.raises(InputError, match="not XML"):
        read_redirects([path], Counts())


def test_a_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "r.tsv").write_bytes(b"a\tb\nc\t\xff\n")
    with pytest.raises(InputError, match=r"r\.tsv: is not UTF-8 after line .*extract_wikipedia_redirects\.py"):
        read_redirect_file(tmp_path / "r.tsv", of_japanese)
