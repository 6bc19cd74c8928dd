"""Links of wikitext (https://www.mediawiki.org/wiki/Help:Links): their words stay, with marks at their ends.

What is a link and what is text with brackets: MediaWiki's Parser::handleInternalLinks2 and handleExternalLinks.
"""

import re
from functools import cache, lru_cache, partial

from leia.base.errors import DropReason
from leia.base.step import Tally
from leia.corpus.languages import link_trail
from leia.corpus.siteinfo import Wiki
from leia.corpus.targets import Kind, Target, resolve_target
from leia.corpus.titles import unquote
from leia.corpus.wikitext.lines import join_lines
from leia.corpus.wikitext.marks import (
    LINK_END,
    LINK_START,
    LINK_WORDS,
    REMOVED,
    TEMPLATE,
    without_marks,
    without_removed,
)
from leia.corpus.wikitext.quotes import read_quotes

_LINK = re.compile(rf"((?:[^\0-\x1f<>\[\]{{}}|\x7f]|{TEMPLATE})++)(?:\|(.+?))?\]\]", re.DOTALL)
_TARGET = re.compile(r"([^\0-\x1f<>\[\]{}|\x7f]++)\|")
_CLOSING = re.compile(r"\]\]")
_PROTOCOLS = (
    r"bitcoin:|ftps?://|geo:|git://|gopher://|https?://|ircs?://|magnet:|mailto:|matrix:|mms://|news:|nntp://|redis://|"
    r"sftp://|sips?:|sms:|ssh://|svn://|tel:|telnet://|urn:|wikipedia://|worldwind://|xmpp:|//"
)
_PROTOCOL = re.compile(_PROTOCOLS, re.IGNORECASE)
_EXTERNAL = re.compile(rf'\[((?:{_PROTOCOLS})[^\s\[\]<>"\0-\x1f\x7f]+)\s*([^\]\n]*)\]', re.IGNORECASE)
_NO_TITLE = Target(Kind.NO_TITLE)
_REASONS = {
    Kind.SECTION: DropReason.SECTION_LINK,
    Kind.FILE: DropReason.FILE,
    Kind.CATEGORY: DropReason.CATEGORY,
    Kind.INTERLANGUAGE: DropReason.INTERLANGUAGE,
    Kind.OTHER_NAMESPACE: DropReason.OTHER_NAMESPACE,
    Kind.OTHER_WIKI: DropReason.OTHER_WIKI,
    Kind.TEMPLATE: DropReason.TEMPLATE_TARGET,
    Kind.NO_TITLE: DropReason.NOT_A_LINK,
}
_HIDDEN = (Kind.FILE, Kind.CATEGORY, Kind.INTERLANGUAGE)  # they show no words


class LinkReader:
    """Reads the links of one wiki's texts."""

    def __init__(self, wiki: Wiki) -> None:
        self._resolve = lru_cache(maxsize=1 << 16)(partial(_resolve, wiki=wiki))
        self._trail = re.compile(link_trail(wiki.language) or r"(?!)")
        host = rf"(?:https?:)?//{re.escape(wiki.language)}(?:\.m)?\.wikipedia\.org/wiki/"
        self._own_page = re.compile(host + r"([^?\s]+)", re.IGNORECASE)

    def read_internal(self, text: str, titles: list[str], links: Tally) -> str:
        """`text` with the words of its links to articles between marks, and those of other links without.

        `titles` gets the articles' titles in the order of the marks; `links` counts those that lead to none.
        """
        if "[[" not in text:
            return text
        pieces = text.split("[[")
        ends = cache(partial(_ends_of_links, pieces))  # only a text with a file and links in its caption needs them
        parts = [pieces[0]]
        resolve, match_trail, article = self._resolve, self._trail.match, Kind.ARTICLE
        number = 1
        while number < len(pieces):
            piece = pieces[number]
            found = _LINK.match(piece)
            target = resolve(found[1]) if found else _NO_TITLE
            if target.kind is article:
                words, after = _words(found, piece)
                if trail := match_trail(after):
                    words, after = words + trail[0], after[trail.end() :]
                parts += (_mark(target.title, words, titles), after)
            elif target.kind in _HIDDEN:
                links.drop(_REASONS[target.kind])
                parts.append(_words(found, piece)[1])
            elif target.kind is not Kind.NO_TITLE:
                links.drop(_REASONS[target.kind])
                parts += _words(found, piece)
            elif found is None and self._is_file(piece) and number in ends():
                last, position = ends()[number]
                links.drop(DropReason.FILE, last - number + 1)
                parts.append(pieces[last][position:])
                number = last
            else:
                links.drop(DropReason.NOT_A_LINK)
                parts.append(f"[[{piece}")
            number += 1
        return "".join(parts)

    def _is_file(self, piece: str) -> bool:
        target = _TARGET.match(piece)
        return target is not None and self._resolve(target[1]).kind is Kind.FILE

    def read_external(self, line: str, titles: list[str], links: Tally) -> tuple[str, int]:
        """`line` with the words of its external links alone, and how many of them lead to pages of this wiki.

        Those are links as any others: `titles` and `links` get them, too.
        """
        parts, position, own = [], 0, 0
        # All brackets end a link that begins before the last of them: so no attempt reads the line to its end in vain.
        for found in _EXTERNAL.finditer(line, 0, line.rfind("]") + 1):
            parts.append(line[position : found.start()])
            position = found.end()
            address, words = found[1], found[2]
            page = self._own_page.fullmatch(address)
            if page is None:
                parts += (REMOVED, words, REMOVED)
                continue
            own += 1
            target = self._resolve(f":{page[1]}")
            if target.kind is Kind.ARTICLE:
                words, inner, rest = words.partition(LINK_START)  # a link in its words ends it
                parts += (_mark(target.title, words, titles), inner, rest)
            else:
                links.drop(_REASONS[target.kind])
                parts.append(words)
        parts.append(line[position:])
        return "".join(parts), own


def _words(link: re.Match[str], piece: str) -> tuple[str, str]:
    """The words that a link shows, and what follows it."""
    target, label = link.groups()
    after = piece[link.end() :]
    if label is None:
        words = without_marks(unquote(target)) if "%" in target else target
        words = words.lstrip().removeprefix(":").lstrip()
        return words.replace("'", f"'{REMOVED}") if "''" in words else words, after  # apostrophes of a title
    if after[:1] == "]" and "[" in label:  # the first of ]]] belongs to the label
        label, after = f"{label}]", after[1:]
    label = join_lines(label)
    if "''" in label:
        # Bold and italics begin and end within the words; around nothing they show nothing.
        label = read_quotes(label)
        label = label if without_removed(label).strip('" ') else ""
    return label.replace("[", f"[{REMOVED}") if "[" in label else label, after  # no external link in it


def _mark(title: str, words: str, titles: list[str]) -> str:
    """`words` between marks; spaces at their ends are shown, but they are not the link's."""
    titles.append(title)
    number = len(titles) - 1
    if words[:1] != " " and words[-1:] != " ":
        return f"{LINK_START}{number}{LINK_WORDS}{words}{LINK_END}"
    bare = words.strip(" ")
    if not bare:
        return f"{LINK_START}{number}{LINK_WORDS}{LINK_END}"
    start = words.find(bare)
    return f"{words[:start]}{LINK_START}{number}{LINK_WORDS}{bare}{LINK_END}{words[start + len(bare) :]}"


def _resolve(written: str, wiki: Wiki) -> Target:
    if TEMPLATE in written:
        return Target(Kind.TEMPLATE)
    written = written.strip()
    return _NO_TITLE if _PROTOCOL.match(written) else resolve_target(written, wiki)


def _ends_of_links(pieces: list[str]) -> dict[int, tuple[int, int]]:
    """Where the link that begins before `pieces[number]` ends: number of the piece and position in it."""
    ends: dict[int, tuple[int, int]] = {}
    open_links: list[int] = []
    for number, piece in enumerate(pieces[1:], start=1):
        open_links.append(number)
        for bracket in _CLOSING.finditer(piece):
            if not open_links:
                break
            ends[open_links.pop()] = number, bracket.end()
    return ends
