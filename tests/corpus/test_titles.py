"""Titles, hrefs and language codes: tables of cases that a non-coder can check."""

import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leia.base.errors import DropReason, UsageError
from leia.corpus.titles import (
    normalize_title,
    parse_languages,
    site_of_language,
    title_of_href,
    unquote,
)


@pytest.mark.parametrize(
    ("language", "title", "normalised"),
    [
        ("en", "new_York", "New York"),
        ("en", "New York", "New York"),
        ("en", "", ""),
        ("en", " leading space", " leading space"),
        ("en", "iPhone", "IPhone"),
        ("ja", "日本", "日本"),
        ("sv", "åland", "Åland"),
        ("de", "ßtraße", "ßtraße"),  # upper() would give SSTRASSE's "SS"
        ("ca", "ŉ", "ŉ"),
        ("el", "ᾳδης", "ᾼδης"),  # one letter has one capital, the title-case one
        ("hr", "ǆ", "Ǆ"),
        ("ka", "თბილისი", "თბილისი"),  # Georgian has no capitals in titles
        ("en", "ⅷ", "ⅷ"),  # nor have these on Wikimedia's wikis: Roman numerals, circled letters ...
        ("en", "ⓩ", "ⓩ"),
        ("en", "ꞹ", "ꞹ"),
        ("el", "\u0345x", "\u0345x"),
        ("hr", "ǅ", "ǅ"),
        ("en", "ǈ", "ǈ"),
        ("en", "ǋ", "ǋ"),
        ("en", "ǲ", "ǲ"),
        ("en", "\U00016e60", "\U00016e60"),
        ("en", "\U00016e7f", "\U00016e7f"),
        ("en", "ꞻ", "Ꞻ"),  # neighbours of these have theirs
        ("en", "ↄ", "Ↄ"),
        ("tr", "istanbul", "İstanbul"),
        ("az", "it", "İt"),
        ("kaa", "it", "İt"),
        ("tr", "ılıca", "Ilıca"),
        ("es", "istanbul", "Istanbul"),
        ("en", "𐐨", "𐐀"),  # a letter outside the basic plane
    ],
)
def test_titles_are_normalised_as_mediawiki_does(language, title, normalised):
    assert normalize_title(title, language) == normalised


@pytest.mark.parametrize("language", ["en", "tr", "ka"])
def test_normalising_twice_changes_nothing_more(language):
    for code_point in range(0x20, 0x2FFFF, 1):
        if 0xD800 <= code_point < 0xE000:
            continue
        once = normalize_title(chr(code_point) + "x", language)
        assert len(once) == 2
        assert normalize_title(once, language) == once


@pytest.mark.parametrize(
    ("href", "title"),
    [
        ("%E7%81%AB", "火"),
        ("new%20York", "New York"),
        ("new_York", "New York"),
        ("A%26amp%3BM", "A&M"),  # percent-encoded, then an entity
        ("AT%26T", "AT&T"),
        ("https%3A//ja.wikipedia.org/wiki/%E7%81%AB", "火"),
        ("/wiki/%E7%81%AB", "火"),
        ("w:ja:火", "火"),
        ("w:火", "火"),
        (":ja:火", "火"),
        ("w:en:Fire", "W:en:Fire"),  # another wiki's page stays what it is, and is found nowhere
        (":en:Fire", ":en:Fire"),
        (":w:Fire", ":w:Fire"),
        ("100%", "100%"),
        ("%FF", "�"),
    ],
)
def test_an_href_gives_the_title_it_leads_to(href, title):
    assert title_of_href(href, "ja") == (title, None)


@pytest.mark.parametrize(
    ("href", "reason"),
    [
        ("%E7%81%AB#%E6%AD%B4%E5%8F%B2", DropReason.SECTION_LINK),
        ("%E7%81%AB%23x", DropReason.SECTION_LINK),
        ("#x", DropReason.SECTION_LINK),
        ("http%3A//example.org/", DropReason.EXTERNAL_LINK),
        ("https://en.wikipedia.org/wiki/Fire", DropReason.EXTERNAL_LINK),
        ("http://ja.wikipedia.org/wiki/x", DropReason.EXTERNAL_LINK),
        ("https://ja.wikipedia.org/wiki/", DropReason.EMPTY_LINK),
        ("", DropReason.EMPTY_LINK),
        ("w:", DropReason.EMPTY_LINK),
        (":ja:", DropReason.EMPTY_LINK),
    ],
)
def test_an_href_that_leads_to_no_article_gives_the_reason(href, reason):
    assert title_of_href(href, "ja") == (None, reason)


@given(
    st.lists(st.sampled_from(["%E7", "%81", "%AB", "%2", "%", "%zz", "a", "é", "%41", "+", "火", "%f0"])).map("".join)
)
def test_percent_encoding_is_decoded_as_urllib_does(href):
    assert unquote(href) == urllib.parse.unquote(href)


@pytest.mark.parametrize(
    ("code", "site"),
    [
        ("ja", "jawiki"),
        ("simple", "simplewiki"),
        ("zh-min-nan", "zh_min_nanwiki"),
        ("zh_min_nan", "zh_min_nanwiki"),
        ("be-x-old", "be_x_oldwiki"),
        ("be-tarask", "be_x_oldwiki"),
        ("nb", "nowiki"),
        ("roa-rup", "roa_rupwiki"),
    ],
)
def test_a_language_has_the_site_code_of_its_wiki(code, site):
    assert site_of_language(code) == site


@pytest.mark.parametrize("codes", ["../en", "en/ja", "EN", "", ",", "en,../x", "e", "en;rm", "日本", "-en", "nb,no"])
def test_a_code_that_is_none_is_refused_before_a_path_is_made(codes):
    with pytest.raises(UsageError, match=r"language|name each once"):
        parse_languages(codes)


def test_languages_are_taken_once_and_in_order():
    assert parse_languages("en, ja,en,zh-min-nan") == ["en", "ja", "zh-min-nan"]
