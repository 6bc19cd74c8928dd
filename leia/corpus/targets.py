"""From the target of a link to the page it leads to, as MediaWiki resolves it (MediaWikiTitleCodec::splitTitleString).

The one function for the titles of redirects, ids and links in our own extraction. The published way keeps the
resolution that the published implementation has: `leia.corpus.titles.title_of_href`.
"""

import re
import unicodedata
from enum import Enum
from typing import NamedTuple

from leia.corpus.languages import is_language_code, is_other_project
from leia.corpus.siteinfo import CATEGORY, FILE, MAIN, Wiki
from leia.corpus.titles import clean_spaces, unquote, upper_first_letter
from leia.corpus.wikitext.references import decode_references


class Kind(Enum):
    """What a link target names."""

    ARTICLE = "a page of the main namespace"
    SECTION = "a section of a page"
    FILE = "a file that is shown"
    CATEGORY = "a category that the page is put into"
    INTERLANGUAGE = "the same page in another language"
    OTHER_NAMESPACE = "a page of another namespace"
    OTHER_WIKI = "a page of another wiki"
    TEMPLATE = "what a template says, which is left out"
    NO_TITLE = "nothing: no title may be so"


class Target(NamedTuple):
    """`title` is that of the page in its wiki's own writing; with its namespace's name left out. Empty of `NO_TITLE`,
    and of a section of the page itself."""

    kind: Kind
    title: str = ""


_NO_TITLE = Target(Kind.NO_TITLE)
# A title in its own writing, but for its first letter: nothing in it is changed or refused below.
_LETTER = r"0-9A-Za-z\u3041-\u3096\u309b-\u9fff\uac00-\ud7a3"
_USUAL = re.compile(rf"[{_LETTER}](?:[{_LETTER}(),'!-]| (?! |$))*")
_NO_CHARACTER = re.compile(r"&#(?:[0-9]+|[xX][0-9a-fA-F]+);")  # a reference to none that a text may hold
_ILLEGAL = re.compile(r"[\0-\x1f\x7f<>\[\]{}|#\ufffd]|%[0-9a-fA-F]{2}|~~~|&(?:#[0-9]+|#x[0-9a-fA-F]+|[^\s&;]+);")
_RELATIVE = re.compile(r"\.{1,2}(?:/.*)?|.*/\.{1,2}(?:/.*)?", re.DOTALL)
_MAX_BYTES = 255


def resolve_target(target: str, wiki: Wiki) -> Target:
    """The page that `[[target]]` leads to in `wiki`.

    `target` is wikitext: spaces, underscores, marks of direction, character references and percent-encoding count as
    MediaWiki counts them.
    """
    if _USUAL.fullmatch(target) and len(target) < _MAX_BYTES // 4:
        return Target(Kind.ARTICLE, _capitalised(target, wiki))
    if "%" in target:
        target = unquote(target)
    if "&" in target:
        target = decode_references(target)
        if _NO_CHARACTER.search(target):
            return _NO_TITLE
    title = clean_spaces(unicodedata.normalize("NFC", target))
    shown = title.startswith(":")  # [[:File:X]] shows words, [[File:X]] a picture
    title = title[1:].lstrip(" ") if shown else title
    kind = Kind.ARTICLE
    for _ in range(3):  # w:es:Talk:X
        prefix, colon, rest = title.partition(":")
        prefix = prefix.strip(" ").lower()
        if not colon or not prefix:
            break
        if (namespace := wiki.namespaces.get(prefix)) is not None:
            kind, title = _kind_of_namespace(namespace, shown), rest.lstrip(" ")
            break
        if prefix not in ("w", wiki.language):
            if is_language_code(prefix):
                return Target(Kind.OTHER_WIKI if shown else Kind.INTERLANGUAGE, rest.strip(" "))
            if is_other_project(prefix):
                return Target(Kind.OTHER_WIKI, rest.strip(" "))
            break
        title = rest.lstrip(" ").removeprefix(":").lstrip(" ")
    title, hash_sign, _ = title.partition("#")
    title = title.rstrip(" ")
    if hash_sign and not title:
        return Target(Kind.SECTION) if kind is Kind.ARTICLE else _NO_TITLE
    if not title or title[0] == ":" or len(title.encode("utf-8", "replace")) > _MAX_BYTES:
        return _NO_TITLE
    if _ILLEGAL.search(title) or _RELATIVE.fullmatch(title):
        return _NO_TITLE
    return Target(Kind.SECTION if hash_sign and kind is Kind.ARTICLE else kind, _capitalised(title, wiki))


def _kind_of_namespace(namespace: int, shown: bool) -> Kind:
    if namespace == MAIN:
        return Kind.ARTICLE
    if not shown and namespace in (FILE, CATEGORY):
        return Kind.FILE if namespace == FILE else Kind.CATEGORY
    return Kind.OTHER_NAMESPACE


def _capitalised(title: str, wiki: Wiki) -> str:
    if not wiki.first_letter or "A" <= title[:1] <= "Z":
        return title
    return upper_first_letter(title[:1], wiki.language) + title[1:]
