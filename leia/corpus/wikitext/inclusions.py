"""The first look at wikitext, which MediaWiki's preprocessor takes: comments, extension tags, templates.

Rules: https://www.mediawiki.org/wiki/Preprocessor_ABNF, https://www.mediawiki.org/wiki/Help:Extension_tags. What is
shown by a program (a map, a score) or from elsewhere (a template) is left out; what is never closed is text.
"""

import html.entities
import re
from collections import Counter
from dataclasses import dataclass

from leia.base.errors import DropReason
from leia.corpus.wikitext.marks import LITERAL_END, LITERAL_START, REMOVED, TEMPLATE

_LITERAL = ("nowiki", "pre")  # their content is shown as it is
_FORMULA = ("math",)
_NOTES = ("ref", "references")
_SHOWN = ("poem",)  # their content is wikitext
# fmt: off
_PROGRAMS = (
    "categorytree", "ce", "charinsert", "chart", "chem", "dynamicpagelist", "gallery", "graph", "hiero", "imagemap",
    "indicator", "inputbox", "mapframe", "maplink", "phonos", "quiz", "rss", "score", "section", "source",
    "syntaxhighlight", "templatedata", "templatestyles", "timeline",
)
# fmt: on
_ON_THE_PAGE = ("noinclude", "onlyinclude")  # tags that are used up; their content is shown
_ELSEWHERE = "includeonly"
_NAMES = "|".join([*_LITERAL, *_FORMULA, *_NOTES, *_SHOWN, *_PROGRAMS, *_ON_THE_PAGE, _ELSEWHERE])
_OPENING = re.compile(rf"<!--|<(/?)({_NAMES})(?=[\s/>])[^>]*>", re.IGNORECASE)
_SIMPLE_TEMPLATE = re.compile(r"\{\{(?!\{|\s*(?:!|[A-Z]*PAGENAME)\s*\}\})[^{}]*+\}\}(?!\})")
_PAGE_NAMES = ("PAGENAME", "FULLPAGENAME", "BASEPAGENAME", "SUBPAGENAME", "ROOTPAGENAME")  # alike in articles
_LINE_BREAK = re.compile(r"(?<![ \t])[ \t]*+\n\s*")  # from the first space: each is read once
_BRACES = re.compile(r"\{\{+|\}\}+")


_REFERENCE = re.compile(r"&(?:#([0-9]+)|#[xX]([0-9a-fA-F]+)|([A-Za-z][A-Za-z0-9]*));")


def decode_references(text: str) -> str:
    """`text` with the characters for `&lt;`, `&#60;` and `&#x3C;`; what names no character of a text stays."""
    return _REFERENCE.sub(_character, text) if "&" in text else text


def _character(reference: re.Match[str]) -> str:
    if reference[3]:
        return html.entities.html5.get(f"{reference[3]};", reference[0])
    digits = (reference[1] or reference[2]).lstrip("0")[:8]
    code = int(digits or "0", 10 if reference[1] else 16)
    is_text = code in (9, 10, 13) or 0x20 <= code < 0x7F or 0xA0 <= code < 0xD800 or 0xE000 <= code <= 0x10FFFF
    return chr(code) if is_text and code not in (0xFFFE, 0xFFFF) else reference[0]


_MARK = re.compile(f"{LITERAL_START}([0-9]+){LITERAL_END}")


class Literals:
    """Pieces of text that are shown as they are, and formulas, each with a mark in its place in the wikitext."""

    def __init__(self) -> None:
        self._pieces: list[tuple[str, str]] = []

    def mark(self, piece: str, kind: str = "") -> str:
        """The mark that stands for `piece`. A `kind` (formula, codice) is shown as its name and a number."""
        self._pieces.append((kind, piece if kind else decode_references(piece)))
        return f"{LITERAL_START}{len(self._pieces) - 1}{LITERAL_END}"

    def number(self, text: str) -> None:
        """Number the formulas of `text` in their order, those of the same source alike, as WikiExtractor does."""
        if not any(kind for kind, _ in self._pieces):
            return
        first: dict[tuple[str, str], int] = {}
        met: Counter[str] = Counter()
        for mark in _MARK.finditer(text):
            kind, piece = self._pieces[int(mark[1])]
            if kind:
                met[kind] += 1
                number = first.setdefault((kind, piece), met[kind])
                self._pieces[int(mark[1])] = "", f"{kind}_{number}"

    def put_back(self, text: str) -> str:
        """`text` with the pieces in the places of their marks."""
        return _MARK.sub(lambda mark: self._pieces[int(mark[1])][1], text) if LITERAL_START in text else text


def read_extension_tags(text: str, literals: Literals, dropped: Counter[DropReason]) -> str:
    """`text` without comments and extension tags. `dropped` gets the `[[` in what is left out, comments excepted."""
    parts: list[str] = []
    position = 0
    shown_to = 0  # where the last tag ends whose content is wikitext
    closings: dict[str, re.Pattern[str] | None] = {}  # None: there is no further closing tag of this name
    # Behind the last bracket no tag is complete. Without this limit every unfinished one would be read to the end.
    last_bracket = text.rfind(">") + 1
    while found := _OPENING.search(text, position, last_bracket):
        parts.append(text[position : found.start()])
        position = found.end()
        if found[2] is None:
            end = text.find("-->", position)
            position = len(text) if end < 0 else end + 3
            continue
        name = found[2].lower()
        if name in _ON_THE_PAGE:
            continue
        if found[1]:
            parts.append(REMOVED if position == shown_to else found[0])  # else it closes nothing
            continue
        if found[0].endswith("/>"):
            parts.append(REMOVED)
            continue
        if name not in closings:
            closings[name] = re.compile(rf"</{name}\s*>", re.IGNORECASE)
        closing = closings[name].search(text, position) if closings[name] else None
        if closing is None and name != _ELSEWHERE:
            closings[name] = None
            parts.append(found[0])
            continue
        if name in _SHOWN:
            parts.append(REMOVED)
            shown_to = max(shown_to, closing.end())
            continue
        content = text[position : closing.start() if closing else len(text)]
        position = closing.end() if closing else len(text)
        if name in _LITERAL:
            parts.append(literals.mark(_LINE_BREAK.sub(" ", content) if name == "nowiki" else content))
        elif name in _FORMULA:
            parts.append(literals.mark(found[0] + content, "formula"))
        else:
            parts.append(REMOVED if name != _ELSEWHERE else "")
        if name not in _LITERAL and (links := content.count("[[")):
            dropped[_reason(name)] += links
    rest = text[position:]
    parts.append(rest.partition("<!--")[0])
    return "".join(parts)


def _reason(name: str) -> DropReason:
    return DropReason.IN_NOTE if name in _NOTES else DropReason.IN_EXTENSION


def drop_templates(text: str, title: str, dropped: Counter[DropReason]) -> str:
    """`text` without `{{...}}` and `{{{...}}}`, but for what is shown by the page alone: its `title`, and a pipe for
    `{{!}}`. `dropped` gets the `[[` in the others."""
    if "{{" not in text:
        return text
    links = text.count("[[")
    text = _SIMPLE_TEMPLATE.sub(TEMPLATE, text)  # most hold no braces and need no second look
    if links := links - text.count("[["):
        dropped[DropReason.IN_TEMPLATE] += links
    shown = {"!": "|"} | dict.fromkeys(_PAGE_NAMES, title)
    parts: list[str] = []
    open_runs: list[_Run] = []
    position = 0
    for found in _BRACES.finditer(text):
        parts.append(text[position : found.start()])
        position = found.end()
        braces = len(found[0])
        if found[0][0] == "{":
            open_runs.append(_Run(len(parts), braces))
            parts.append("")
            continue
        while braces >= 2 and open_runs:
            run = open_runs[-1]
            matching = min(run.braces, braces, 3)
            content = "".join(parts[run.place + 1 :])
            del parts[run.place + 1 :]
            if links := content.count("[["):
                dropped[DropReason.IN_TEMPLATE] += links
            parts.append(shown.get(content.strip(), TEMPLATE) if matching == 2 else TEMPLATE)
            braces -= matching
            run.braces -= matching
            if run.braces < 2:
                parts[run.place] = "{" * run.braces
                open_runs.pop()
        parts.append("}" * braces)
    for run in open_runs:
        parts[run.place] = "{" * run.braces
    parts.append(text[position:])
    return "".join(parts)


@dataclass(slots=True)
class _Run:
    """A run of braces that is open: its `place` among the parts, and how many of its braces no `}` has closed yet."""

    place: int
    braces: int
