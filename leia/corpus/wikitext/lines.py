"""Lines of wikitext as the lines of WikiExtractor's text: which are shown, and how.

Paragraphs stay. Lists are left out; a line that is indented by colons loses them. A heading becomes `Heading.`, before
the first paragraph that follows; a section without a paragraph has none. Lines without a letter or digit are left out.
"""

import re

from leia.base.errors import DropReason
from leia.base.step import Tally
from leia.corpus.wikitext.marks import LINK_END, LINK_START, REMOVED, TEMPLATE

_HEADING = re.compile(r"(={2,6})(.+?)(={2,6})\s*\Z")
_LEVEL_OF_SECTIONS = 2
_NOTHING = f"{REMOVED}{TEMPLATE}"
_MAY_BEGIN_A_LIST = frozenset(("*", "#", ";", REMOVED, TEMPLATE))
_LIST = re.compile(f"[{REMOVED}{TEMPLATE}]*[*#;]")
_WORD = re.compile(r"[\w\x04]")  # a letter, a digit or the mark of a literal piece
_LINE_BREAK = re.compile(r"(?<![ \t])[ \t]*+\n\s*")  # from the first space: each is read once
_DOTS = re.compile(r"\.{4,}")
_SPACES = re.compile(r" {2,}")
_SPACE_BEFORE = re.compile(r" ([,:.)\]»])")
_SPACE_BEHIND = re.compile(r"([\[(«]) ")


def join_lines(text: str) -> str:
    """`text` as one line: with a space for each line break."""
    return _LINE_BREAK.sub(" ", text) if "\n" in text else text


def drop_lists(text: str, links: Tally) -> str:
    """`text` without the lines of lists, as far as no link goes beyond the line.

    `links` counts those in them, which are many: so they need not be read.
    """
    kept: list[str] = []
    open_links = 0
    for line in text.split("\n"):
        opened = line.count("[[")
        closed = line.count("]]") if opened or open_links else 0
        if line[:1] in _MAY_BEGIN_A_LIST and not open_links and opened == closed and _LIST.match(line):
            links.drop(DropReason.IN_LIST, opened)
        else:
            kept.append(line)
            open_links = max(open_links + opened - closed, 0)
    return "\n".join(kept)


def tidy_spaces(text: str) -> str:
    """`text` with WikiExtractor's punctuation: no runs of spaces, no space before a comma or in a bracket."""
    text = text.replace("\t", " ")
    text = _SPACES.sub(" ", text)
    if "...." in text:
        text = _DOTS.sub("...", text)
    text = _SPACE_BEFORE.sub(r"\1", text)
    text = _SPACE_BEHIND.sub(r"\1", text)
    return text.replace(",,", ",").replace(",.", ".")


def split_sections(text: str, links: Tally) -> list[tuple[str, str]]:
    """Heading and text of the lead, whose heading is empty, and of each section of level 2, with its subsections.

    The lines of all headings are left out of the texts; `links` counts those in them. `text` still has the marks of
    what shows nothing: a heading that a template alone says begins a section, too.
    """
    sections: list[tuple[str, list[str]]] = [("", [])]
    for line in text.split("\n"):
        bare = line.lstrip(_NOTHING)
        heading = _HEADING.match(bare.rstrip(f"{_NOTHING} \t")) if bare[:1] == "=" else None
        if heading is None:
            sections[-1][1].append(line)
            continue
        links.drop(DropReason.IN_HEADING, line.count(LINK_START))
        level = min(len(heading[1]), len(heading[3]))
        if level == _LEVEL_OF_SECTIONS:
            sections.append((heading[0].strip()[level:-level].strip(), []))
    return [(heading, "\n".join(lines)) for heading, lines in sections]


def shown_lines(text: str, links: Tally) -> list[str]:
    """The lines of `text` that are shown. `links` counts those in the others."""
    shown: list[str] = []
    headings: list[tuple[int, str]] = []  # level and words, of the sections that have no paragraph yet
    for line in text.split("\n"):
        if not _WORD.search(line):
            continue
        first = line[0]
        if first == "=" and (heading := _HEADING.match(line)):
            level = min(len(heading[1]), len(heading[3]))
            empty = [words for of_level, words in headings if of_level >= level]
            links.drop(DropReason.IN_EMPTY_SECTION, "".join(empty).count(LINK_START))
            headings = [(of_level, words) for of_level, words in headings if of_level < level]
            headings.append((level, _sentence(line.strip()[level:-level].strip())))
        elif first == ":":
            shown.append(line.lstrip(":"))
        elif first in "*#;":
            links.drop(DropReason.IN_LIST, line.count(LINK_START))
        else:
            shown += [words for _, words in headings]
            headings.clear()
            shown.append(line)
    links.drop(DropReason.IN_EMPTY_SECTION, "".join(words for _, words in headings).count(LINK_START))
    return shown


def _sentence(heading: str) -> str:
    return heading if heading.rstrip(LINK_END)[-1:] in ("!", "?", "") else f"{heading}."
