"""The first look at wikitext, which MediaWiki's preprocessor takes: comments, extension tags, templates.

Rules: https://www.mediawiki.org/wiki/Preprocessor_ABNF, https://www.mediawiki.org/wiki/Help:Extension_tags. What is
shown by a program (a map, a score) or from elsewhere (a template) is left out; what is never closed is text.
"""

import re
from dataclasses import dataclass

from leia.base.errors import DropReason
from leia.base.step import Tally
from leia.corpus.wikitext.lines import join_lines
from leia.corpus.wikitext.literals import Literals
from leia.corpus.wikitext.marks import REMOVED, TEMPLATE

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
_BRACES = re.compile(r"\{\{+|\}\}+")


def read_extension_tags(text: str, literals: Literals, links: Tally) -> str:
    """`text` without comments and extension tags. `links` counts the `[[` in what is left out, comments excepted."""
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
            parts.append(literals.mark(join_lines(content) if name == "nowiki" else content))
        elif name in _FORMULA:
            parts.append(literals.mark(found[0] + content, "formula"))
        else:
            parts.append(REMOVED if name != _ELSEWHERE else "")
        if name not in _LITERAL:
            links.drop(_reason(name), content.count("[["))
    rest = text[position:]
    parts.append(rest.partition("<!--")[0])
    return "".join(parts)


def _reason(name: str) -> DropReason:
    return DropReason.IN_NOTE if name in _NOTES else DropReason.IN_EXTENSION


def drop_templates(text: str, title: str, links: Tally) -> str:
    """`text` without `{{...}}` and `{{{...}}}`, but for what is shown by the page alone: its `title`, and a pipe for
    `{{!}}`. `links` counts the `[[` in the others."""
    if "{{" not in text:
        return text
    written = text.count("[[")
    text = _SIMPLE_TEMPLATE.sub(TEMPLATE, text)  # most hold no braces and need no second look
    links.drop(DropReason.IN_TEMPLATE, written - text.count("[["))
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
            links.drop(DropReason.IN_TEMPLATE, content.count("[["))
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
