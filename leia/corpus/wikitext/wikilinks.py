"""Links of wikitext (https://www.mediawiki.org/wiki/Help:Links): their words stay, with marks at their ends.

What is a link and what is text with brackets: MediaWiki's Parser::handleInternalLinks2 and handleExternalLinks.
"""

import re
from collections import Counter
from functools import lru_cache, partial

from leia.base.errors import DropReason
from leia.corpus.languages import link_trail
from leia.corpus.siteinfo import Wiki
from leia.corpus.targets import Kind, Target, resolve_target
from leia.corpus.wikitext.marks import LINK_END, LINK_START, LINK_WORDS, TEMPLATE

_LINK = re.compile(rf"((?:[^\0-\x1f<>\[\]{{}}|\x7f]|{TEMPLATE})++)(?:\|(.+?))?\]\]", re.DOTALL)
_TARGET = re.compile(r"([^\0-\x1f<>\[\]{}|\x7f]++)\|")
_CLOSING = re.compile(r"\]\]")
_PROTOCOLS = (
    r"bitcoin:|ftps?://|geo:|git://|gopher://|https?://|ircs?://|magnet:|mailto:|matrix:|mms://|news:|nntp://|redis://|"
    r"sftp://|sips?:|sms:|ssh://|svn://|tel:|telnet://|urn:|wikipedia://|worldwind://|xmpp:|//"
)
_PROTOCOL = re.compile(_PROTOCOLS, re.IGNORECASE)
_EXTERNAL = re.compile(rf'\[((?:{_PROTOCOLS})[^\s\[\]<>"\0-\x1f\x7f]+)\s*([^\]\n]*)\]', re.IGNORECASE)
_LINE_BREAK = re.compile(r"[ \t]*\n\s*")
_REASONS = {
    Kind.SECTION: DropReason.SECTION_LINK,
    Kind.FILE: DropReason.FILE,
    Kind.CATEGORY: DropReason.CATEGORY,
    Kind.INTERLANGUAGE: DropReason.INTERLANGUAGE,
    Kind.OTHER_NAMESPACE: DropReason.OTHER_NAMESPACE,
    Kind.OTHER_WIKI: DropReason.OTHER_WIKI,
    Kind.NO_TITLE: DropReason.NOT_A_LINK,
}
_HIDDEN = (Kind.FILE, Kind.CATEGORY, Kind.INTERLANGUAGE)  # they show no words


class LinkReader:
    """Reads the links of one wiki's texts."""

    def __init__(self, wiki: Wiki) -> None:
        self._resolve = lru_cache(maxsize=1 << 16)(partial(resolve_target, wiki=wiki))
        self._trail = re.compile(link_trail(wiki.language) or r"(?!)")
        host = rf"(?:https?:)?//{re.escape(wiki.language)}(?:\.m)?\.wikipedia\.org/wiki/"
        self._own_page = re.compile(host + r"([^?\s]+)", re.IGNORECASE)

    def read_internal(self, text: str, titles: list[str], dropped: Counter[DropReason]) -> str:
        """`text` with the words of its links to articles between marks, and those of other links without.

        `titles` gets the articles' titles in the order of the marks; `dropped` the links that lead to none.
        """
        if "[[" not in text:
            return text
        pieces = text.split("[[")
        ends: dict[int, tuple[int, int]] | None = None  # of links that hold links: piece and position of their end
        parts = [pieces[0]]
        number = 1
        while number < len(pieces):
            piece = pieces[number]
            number += 1
            found = _LINK.match(piece)
            if found is None:
                target = _TARGET.match(piece)
                if target and self._resolve(target[1]).kind is Kind.FILE:
                    ends = _ends_of_links(pieces) if ends is None else ends
                    if number - 1 in ends:
                        last, position = ends[number - 1]
                        dropped[DropReason.FILE] += last - (number - 1) + 1
                        parts.append(pieces[last][position:])
                        number = last + 1
                        continue
                dropped[DropReason.NOT_A_LINK] += 1
                parts.append(f"[[{piece}")
                continue
            written, label, after = found[1].strip(), found[2], piece[found.end() :]
            if label and after.startswith("]") and "[" in label:
                label, after = f"{label}]", after[1:]
            target = Target(Kind.NO_TITLE) if _PROTOCOL.match(written) else self._resolve(written)
            if TEMPLATE in written:
                dropped[DropReason.TEMPLATE_TARGET] += 1
                parts += (written if label is None else label, after)
                continue
            if target.kind is Kind.NO_TITLE:
                dropped[DropReason.NOT_A_LINK] += 1
                parts.append(f"[[{piece}")
                continue
            if target.kind in _HIDDEN:
                dropped[_REASONS[target.kind]] += 1
                parts.append(after)
                continue
            words = written.removeprefix(":").strip() if label is None else label
            if "\n" in words:
                words = _LINE_BREAK.sub(" ", words)
            if target.kind is Kind.ARTICLE:
                if trail := self._trail.match(after):
                    words, after = words + trail[0], after[trail.end() :]
                parts += (self._mark(target.title, words, titles), after)
            else:
                dropped[_REASONS[target.kind]] += 1
                parts += (words, after)
        return "".join(parts)

    def read_external(self, line: str, titles: list[str], dropped: Counter[DropReason]) -> tuple[str, int]:
        """`line` with the words of its external links alone, and how many of them lead to pages of this wiki.

        Those are links as any others: `titles` and `dropped` get them, too.
        """
        parts, position, own = [], 0, 0
        # All brackets end a link that begins before the last of them: so no attempt reads the line to its end in vain.
        for found in _EXTERNAL.finditer(line, 0, line.rfind("]") + 1):
            parts.append(line[position : found.start()])
            position = found.end()
            address, words = found[1], found[2]
            page = self._own_page.fullmatch(address)
            if page is None:
                parts.append(words)
                continue
            own += 1
            target = self._resolve(f":{page[1]}")
            if target.kind is Kind.ARTICLE:
                parts.append(self._mark(target.title, words, titles))
            else:
                dropped[_REASONS[target.kind]] += 1
                parts.append(words)
        parts.append(line[position:])
        return "".join(parts), own

    @staticmethod
    def _mark(title: str, words: str, titles: list[str]) -> str:
        """`words` between marks; spaces at their ends are shown, but they are not the link's."""
        titles.append(title)
        bare = words.strip(" ")
        start = words.find(bare) if bare else 0
        end = start + len(bare)
        return f"{words[:start]}{LINK_START}{len(titles) - 1}{LINK_WORDS}{bare}{LINK_END}{words[end:]}"


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
