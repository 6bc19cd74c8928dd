"""Where WikiExtractor goes wrong, each construct of wikitext with the rule of MediaWiki that it breaks.

A `Rewriting` writes the construct in another way that MediaWiki shows as the same, and that WikiExtractor does not go
wrong with: `[[perro]]s` as `[[perro|perros]]`. If the published way makes of the rewritten text what our own way makes
of the text as it is, then this construct is the reason for the difference, and nothing else is. `literal` characters
stand for those that WikiExtractor would take as markup, GUARD for nothing (`benchmarks.two_ways`).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.two_ways import GUARD, literal
from leia.corpus.languages import link_trail, switches, variants
from leia.corpus.siteinfo import Wiki
from leia.corpus.targets import Kind, resolve_target
from leia.corpus.wikitext.variants import resolve_variants

Rewrite = Callable[[str, Wiki], str]


@dataclass(frozen=True, slots=True)
class Rewriting:
    """`name`, the `rule` of MediaWiki that makes both ways of writing the same, and `apply(wikitext, wiki)`."""

    name: str
    rule: str
    apply: Rewrite


REWRITINGS: list[Rewriting] = []  # in the order in which they are applied


def _reason(name: str, rule: str) -> Callable[[Rewrite], Rewrite]:
    def add(apply: Rewrite) -> Rewrite:
        REWRITINGS.append(Rewriting(name, rule, apply))
        return apply

    return add


def _pattern(name: str, rule: str, pattern: str, write: str | Callable[[re.Match[str]], str]) -> None:
    compiled = re.compile(pattern, re.IGNORECASE | re.MULTILINE)
    _reason(name, rule)(lambda text, wiki: compiled.sub(write, text))


# Comments and extension tags: the first of them that begins hides all others that are in it.

_LITERAL, _NOTES = ("nowiki", "pre"), ("ref", "references")
# fmt: off
_PROGRAMS = (
    "categorytree", "ce", "chart", "chem", "gallery", "graph", "hiero", "imagemap", "inputbox", "mapframe", "maplink",
    "phonos", "score", "source", "syntaxhighlight", "templatedata", "templatestyles", "timeline",
)
# fmt: on
_EXTENSIONS = "|".join((*_LITERAL, *_NOTES, *_PROGRAMS, "math"))
_FIRST_LOOK = re.compile(
    rf"<!--.*?(?:-->|\Z)|<(?P<name>{_EXTENSIONS})(?=[\s/>])(?:[^>]*/>|[^>]*>(?P<content>.*?)</(?P=name)\s*>)",
    re.IGNORECASE | re.DOTALL,
)


def _first_look(name: str, rule: str, tags: tuple[str, ...], write: Callable[[str], str]) -> None:
    """A reason about extension tags, or comments, which have no name."""

    def rewrite(found: re.Match[str]) -> str:
        return write(found["content"] or "") if (found["name"] or "").lower() in tags else found[0]

    _reason(name, rule)(lambda text, wiki: _FIRST_LOOK.sub(rewrite, text))


_first_look("comment", "it is taken out first, wherever it stands; unclosed, it is all the rest", ("",), lambda _: "")
_first_look("nowiki or pre", "its content is shown as it is", _LITERAL, lambda content: GUARD + literal(content))
_first_look("note (ref)", "it is taken out before links, tables and apostrophes are read", _NOTES, lambda _: "")
_first_look("source of an extension tag", "what a program draws or formats is no text", _PROGRAMS, lambda _: "")
_pattern("unclosed extension tag", "it is text, and so is what follows", rf"<(?=(?:{_EXTENSIONS})[\s>])(?![^>]*/>)",
         literal("<"))  # fmt: skip


# Templates and tables.


@_reason("noinclude or onlyinclude", "on the page itself their content is shown, that of includeonly is not")
def _inclusion_tags(text: str, wiki: Wiki) -> str:
    text = re.sub(r"<includeonly>.*?(?:</includeonly>|\Z)", "", text, flags=re.DOTALL | re.IGNORECASE)
    return re.sub(r"</?(?:noinclude|onlyinclude)[^>]*>", "", text, flags=re.IGNORECASE)


_pattern("day of the run", "words for the day are those of the day of reading",
         r"\{\{\s*(?:current|local)[a-z0-9]+\s*\}\}", "")  # fmt: skip
_INNERMOST_TEMPLATE = re.compile(r"\{\{(?:(?!\{\{|\}\}).)*\}\}", re.DOTALL)


@_reason("braces without a partner", "they are text")
def _braces(text: str, wiki: Wiki) -> str:
    masked, before = text, ""
    while masked != before:
        masked, before = _INNERMOST_TEMPLATE.sub(lambda found: "." * len(found[0]), masked), masked
    for found in reversed(list(re.finditer(r"\{\{|\}\}", masked))):
        text = text[: found.start()] + literal(found[0]) + text[found.end() :]
    return text


_pattern("table mark in a line", "a table begins and ends at the start of a line",
         r"(?<=[^\s:])\{\||(?<=\S)(?<!\|)\|\}(?!\})", lambda mark: literal(mark[0]))  # fmt: skip


@_reason("table that is never closed", "what follows is text, but for the rows")
def _unclosed_table(text: str, wiki: Wiki) -> str:
    lines, opened = text.split("\n"), []
    for number, line in enumerate(lines):
        if re.match(r"[\s:]*\{\|", line):
            opened.append(number)
        elif opened and re.match(r"\s*\|\}", line):
            opened.pop()
    if not opened:
        return text
    rest = [line for line in lines[opened[0] :] if not re.match(r"[\s:]*(?:\{\||[|!])", line)]
    return "\n".join(lines[: opened[0]] + rest)


@_reason("variants of writing", "-{zh-hans:a;zh-hant:b}- shows one of them")
def _variants(text: str, wiki: Wiki) -> str:
    if not (known := variants(wiki.language)):
        return text
    chosen = next((code for code in known.get(wiki.language, list(known)) if code != wiki.language), wiki.language)
    return resolve_variants(text, list(dict.fromkeys([*known.get(chosen, [chosen]), *known])), list(known))


@_reason("behaviour switch", "words like __TOC__ show nothing")
def _switches(text: str, wiki: Wiki) -> str:
    return switches(wiki.language).sub("", text)


# HTML.

_TAGS = (
    r"abbr|b|bdi|bdo|big|blockquote|br|caption|center|cite|code|data|dd|del|dfn|div|dl|dt|em|font|h[1-6]|hr|i|ins|kbd|"
    r"li|link|mark|meta|nobr|ol|p|q|rb|rp|rt|rtc|ruby|s|samp|small|span|strike|strong|sub|sup|table|tbody|td|tfoot|th|"
    r"thead|time|tr|tt|u|ul|var|wbr|poem"
)
_pattern("reference to an ampersand", "&amp;lt; shows &lt;, it is decoded once", r"&amp;(?=#|[a-z])", literal("&"))
_pattern("reference to a control character", "&#27; is text, as it names no character of a text",
         r"&(?=#0*(?:\d|1[124-9]|2\d|3[01]|12[7-9]|1[345]\d);|#x0*(?:[0-9bcef]|1[0-9a-f]|7f|[89][0-9a-f]);)(?!#x?0*9;)",
         literal("&"))  # fmt: skip
_pattern("angle bracket that is no tag", "it is text: in &lt;b&gt;, in >> and <<, in tags of unknown names",
         rf"&lt;|<(?!!--|/?(?:{_TAGS}|{_EXTENSIONS})(?=[\s/>])[^<>]*>)|&gt;|(?<![\w\s\"'/-])>|(?<=\s)>|>(?=>)",
         lambda found: literal("<" if found[0] in ("<", "&lt;") else ">"))  # fmt: skip
_pattern("attributes of a tag", "a tag ends at its first >", rf"<(/?(?:{_TAGS}))\s[^<>]*?(/?)>", r"<\1\2>")
_pattern("small", "its content is shown", r"</?small\s*/?>", "")
_pattern("div", "its content is shown", r"</?div\s*/?>", "")
_pattern("tag around a link", "a link in ins, del, q, dfn, ruby and the like is a link",
         r"</?(?:bdo|data|del|dfn|ins|mark|nobr|q|rb|rp|rt|rtc|ruby|samp|time|wbr)\s*/?>", "")  # fmt: skip


# Links.

_pattern("address without words", "it shows a number", r"\[(?:https?:)?//[^\s\[\]]+\s*\]", "")


@_reason("address of the own wiki", "it is a link like others")
def _own_addresses(text: str, wiki: Wiki) -> str:
    own = rf"\[(?:https?:)?//{re.escape(wiki.language)}(?:\.m)?\.wikipedia\.org/wiki/([^?#\s\]]+)\s+([^\]\n]*)\]"
    return re.sub(own, r"[[\1|\2]]", text, flags=re.IGNORECASE)


_LINK = r"\[\[([^\[\]|<>{}\n]+)(?:\|((?:[^\[\]]|\[[^\[\]]*\])*))?\]\]"
_SHOW_NOTHING = (Kind.FILE, Kind.CATEGORY, Kind.INTERLANGUAGE, Kind.NO_TITLE)


@dataclass(frozen=True, slots=True)
class _Link:
    """A link as it is `written`: the `target`, the page's `kind` and `title`, the `label`, and the letters behind."""

    written: str
    target: str
    kind: Kind
    title: str
    label: str
    trail: str


def _links(name: str, rule: str) -> Callable[[Callable[[_Link], str]], None]:
    def add(write: Callable[[_Link], str]) -> None:
        def apply(text: str, wiki: Wiki) -> str:
            def rewrite(found: re.Match[str]) -> str:
                target = found[1].strip()
                kind, title = resolve_target(target, wiki)
                label = target.removeprefix(":") if found[2] is None else found[2]
                return write(_Link(found[0], target, kind, title, label, found[3]))

            return re.sub(f"{_LINK}({link_trail(wiki.language)}|)", rewrite, text)

        _reason(name, rule)(apply)

    return add


@_links("title with a colon", "it may be that of an article; links elsewhere show their words")
def _colon(link: _Link) -> str:
    if ":" not in link.target or link.kind in _SHOW_NOTHING:
        return link.written
    if link.kind is not Kind.ARTICLE:
        return link.label + link.trail
    return f"[[{link.title.replace(':', literal(':'))}|{link.label}]]{link.trail}"


@_links("pipe in a label", "the label is all that follows the first pipe")
def _pipes(link: _Link) -> str:
    if "|" not in link.label or link.kind in _SHOW_NOTHING:
        return link.written
    return f"[[{link.target}|{link.label.replace('|', literal('|'))}]]{link.trail}"


@_links("link to what no page may be called", "it is text")
def _no_title(link: _Link) -> str:
    return literal(link.written) if link.kind is Kind.NO_TITLE else link.written


@_links("link trail", "letters that follow a link belong to it")
def _trail(link: _Link) -> str:
    if not link.trail or link.kind in _SHOW_NOTHING:
        return link.written
    return f"[[{link.target}|{link.label}{link.trail}]]"


# Lines.

_pattern("bracketed paragraph", "it is shown", r"^(?![=*#;:{|!\s])(?=.*\(.*\)\W*$)", GUARD)
_pattern("line like the rest of a table", "outside of tables it is text",
         r"^(?:\{(?![{|])|\|(?!\}))|(?<![}|])\}$", lambda mark: GUARD + mark[0] + GUARD)  # fmt: skip
_pattern("heading of the first level", "= x = is a heading", r"^=(?!=)(.*[^=\s])\s*=\s*$", r"==\1==")
_pattern("text behind a heading", "then it is none", r"^(?==+[^=\n]+=+[ \t]*[^=\s])", GUARD)
