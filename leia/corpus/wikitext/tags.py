"""HTML in wikitext: the tags that MediaWiki allows are taken out, all others are text.

Rules: https://www.mediawiki.org/wiki/Help:HTML_in_wikitext; what is left out with its content, and what becomes a space
or a line break, is as in WikiExtractor's text. Headings, tables and lists are so in HTML as they are in wikitext.
"""

import re
from collections import Counter

from leia.base.errors import DropReason
from leia.base.step import Tally
from leia.corpus.wikitext.literals import Literals
from leia.corpus.wikitext.marks import REMOVED

# fmt: off
_SHOWN = {
    "abbr", "b", "bdi", "bdo", "big", "blockquote", "cite", "data", "del", "dfn", "div", "em", "font", "i", "ins",
    "kbd", "mark", "nobr", "q", "rb", "rp", "rt", "rtc", "ruby", "s", "samp", "small", "span", "strike", "strong",
    "sub", "sup", "time", "tt", "u", "var", "wbr",
}
# fmt: on
_SPACES = {"br", "hr"}
_LINES = {"p", "pre", "center", "h1", "h2", "h3", "h4", "h5", "h6"}
_TABLES = {"table", "caption", "thead", "tbody", "tfoot", "tr", "td", "th"}
_LISTS = {"ul", "ol", "li", "dl", "dt", "dd"}
_CODE = "code"
_LEFT_OUT = _TABLES | _LISTS | {_CODE}  # with all that they hold
_KNOWN = _SHOWN | _SPACES | _LINES | _LEFT_OUT | {"meta", "link"}
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)(?=[\s/>])([^<>]*)>")


def read_tags(text: str, literals: Literals, links: Tally) -> str:
    """`text` without the tags that MediaWiki allows. `links` counts the `[[` in what is left out with them."""
    if "<" not in text:
        return text
    parts: list[str] = []
    open_tags: list[tuple[str, int]] = []  # of those that are left out: name and place in `parts`
    is_open: Counter[str] = Counter()
    position = 0
    for found in _TAG.finditer(text):
        name = found[2].lower()
        if name not in _KNOWN:
            continue
        parts.append(text[position : found.start()])
        position = found.end()
        links.drop(DropReason.NOT_A_LINK, found[3].count("[["))
        if name in _SPACES or name in _LINES:
            parts.append(_separator(text, found, " " if name in _SPACES else "\n"))
        elif name not in _LEFT_OUT or found[3].endswith("/"):
            parts.append(REMOVED)
        elif not found[1]:
            open_tags.append((name, len(parts)))
            is_open[name] += 1
            parts.append(REMOVED)
        elif is_open[name]:
            closed, place = open_tags.pop()
            is_open[closed] -= 1
            while closed != name:
                closed, place = open_tags.pop()
                is_open[closed] -= 1
            content = "".join(parts[place:])
            del parts[place:]
            links.drop(_reason(name), content.count("[["))
            parts.append(literals.mark(content, "codice") if name == _CODE else REMOVED)
        else:  # an end without a start
            parts.append(REMOVED)
    parts.append(text[position:])
    return "".join(parts)


def _separator(text: str, tag: re.Match[str], separator: str) -> str:
    """`separator`, unless there is white space on one side of the tag already, or nothing."""
    before, after = text[max(tag.start() - 1, 0) : tag.start()], text[tag.end() : tag.end() + 1]
    return separator if before.strip() and after.strip() else REMOVED


def _reason(name: str) -> DropReason:
    if name == _CODE:
        return DropReason.IN_EXTENSION
    return DropReason.IN_TABLE if name in _TABLES else DropReason.IN_LIST
