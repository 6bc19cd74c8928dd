"""Titles, hrefs and language codes: when do two strings name the same Wikipedia page?

The rules are MediaWiki's: a title's first letter is upper-cased, `_` is a space, and a wiki's host, its links and its
site code in Wikidata do not always spell its language alike.
"""

import html
import re

from leia.base.errors import DropReason, UsageError

_DOTTED_I_LANGUAGES = {"tr", "az", "gag", "kaa"}
# Letters whose capitals Wikimedia's wikis do not use (UcfirstOverrides.php of their configuration), first and last of a
# range: Georgian, Roman numerals, circled letters, Medefaidrin, the barred U, the iota below and four digraphs.
_KEPT_RANGES = ("აჿ", "ⅰⅿ", "ⓐⓩ", "\U00016e60\U00016e7f", "ꞹꞹ", "\u0345\u0345", "ǅǅ", "ǈǈ", "ǋǋ", "ǲǲ")
_KEPT_LETTERS = frozenset(chr(code) for first, last in _KEPT_RANGES for code in range(ord(first), ord(last) + 1))
_LANGUAGE_CODE = re.compile(r"[a-z]{2,12}(?:[-_][a-z0-9]{1,12}){0,2}")
_PERCENT_ENCODED = re.compile(r"(?:%[0-9a-fA-F]{2})+")
# Wikis whose site code is not their host's first label with `_` for `-`.
_SITE_OF_LANGUAGE = {
    "be-tarask": "be_x_old",
    "gsw": "als",
    "lzh": "zh_classical",
    "nan": "zh_min_nan",
    "nb": "no",
    "rup": "roa_rup",
    "sgs": "bat_smg",
    "vro": "fiu_vro",
    "yue": "zh_yue",
}


# What MediaWiki takes for one space in titles, and the marks of direction that it removes from them.
_SPACES = re.compile("[ _\xa0\u1680\u180e\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+")
_DIRECTION_MARKS = re.compile("[\u200e\u200f\u202a-\u202e]+")


def clean_spaces(title: str) -> str:
    """`title` without marks of direction, with one space for each run of spaces, and none at its ends."""
    return _SPACES.sub(" ", _DIRECTION_MARKS.sub("", title)).strip(" ")


def normalize_title(title: str, language: str) -> str:
    """`title` as the wiki of `language` writes it: spaces for underscores, the first letter upper-cased."""
    title = title.replace("_", " ")
    first = title[:1]
    # Nearly all titles begin with what is its own upper case; that is seen without building a new string.
    if "A" <= first <= "Z" or not first:
        return title
    return upper_first_letter(first, language) + title[1:]


def upper_first_letter(letter: str, language: str) -> str:
    """The upper case of one letter as MediaWiki's `Language::ucfirst` has it: one letter, or the letter itself.

    That is Unicode's simple case mapping (`ß` and `ŉ` have none, `ᾳ` becomes `ᾼ`), without the capitals that
    Wikimedia's wikis do not use, and with `İ` for `i` in Turkish, Azerbaijani, Gagauz and Karakalpak.
    """
    if letter == "i" and language in _DOTTED_I_LANGUAGES:
        return "İ"
    if letter in _KEPT_LETTERS:
        return letter
    for candidate in (letter.upper(), letter.title()):
        if len(candidate) == 1:
            return candidate
    return letter


def title_of_href(href: str, language: str) -> tuple[str, None] | tuple[None, str]:
    """`(title, None)` for the page that a WikiExtractor `href` names, normalised; `(None, reason)` where it names none.

    `href` is percent-encoded and may hold HTML entities.
    """
    target = html.unescape(unquote(href))
    if "#" in target:
        return None, DropReason.SECTION_LINK
    if target.startswith(("http://", "https://")):
        own_pages = f"https://{language}.wikipedia.org/wiki/"
        if not target.startswith(own_pages):
            return None, DropReason.EXTERNAL_LINK
        target = target[len(own_pages) :]
    if target.startswith("/wiki/"):
        target = target[len("/wiki/") :]
    elif target.startswith(f"w:{language}:"):
        target = target[len(f"w:{language}:") :]
    elif target.startswith("w:") and ":" not in target[2:]:
        target = target[2:]
    elif target.startswith(f":{language}:"):
        target = target[len(f":{language}:") :]
    if not target:
        return None, DropReason.EMPTY_LINK
    return normalize_title(target, language), None


def unquote(href: str) -> str:
    """`urllib.parse.unquote`, ten times as fast on titles that are percent-encoded from end to end."""
    return _PERCENT_ENCODED.sub(lambda run: bytes.fromhex(run[0].replace("%", "")).decode("utf-8", "replace"), href)


def check_language(code: str) -> str:
    """Return `code` when it looks like the code of a Wikipedia; file names and patterns are made from it.

    Raises `UsageError` otherwise.
    """
    if not _LANGUAGE_CODE.fullmatch(code):
        raise UsageError(f"{code!r} is not a language code of a Wikipedia; expected something like ja or zh-min-nan")
    return code


def site_of_language(code: str) -> str:
    """The site code in Wikidata of a Wikipedia: `ja` is `jawiki`, `zh-min-nan` is `zh_min_nanwiki`."""
    return _SITE_OF_LANGUAGE.get(code, code).replace("-", "_") + "wiki"


def parse_languages(codes: str) -> list[str]:
    """The language codes in a list with commas between, each once.

    Raises `UsageError` when one is not a code, when there is none, and when two are of one Wikipedia (`nb` and `no`).
    """
    parsed = list(dict.fromkeys(check_language(code.strip()) for code in codes.split(",") if code.strip()))
    if not parsed:
        raise UsageError('no language was named; expected codes with commas between, say "en,ja"')
    if len(set(map(site_of_language, parsed))) < len(parsed):
        raise UsageError(f"{codes!r}: two of these codes are of the same Wikipedia; name each once")
    return parsed
