"""Where WikiExtractor goes wrong with markup other than links, with the rules of MediaWiki that it breaks."""

import re
from collections.abc import Callable

from benchmarks.rewriting import Rewritings
from benchmarks.two_ways import GUARD, literal
from leia.corpus.languages import switches, variants
from leia.corpus.siteinfo import Wiki
from leia.corpus.wikitext.marks import without_removed
from leia.corpus.wikitext.variants import resolve_variants

MARKUP = Rewritings()

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

    MARKUP.reason(name, rule)(lambda text, wiki: _FIRST_LOOK.sub(rewrite, text))


_first_look("comment", "it is taken out first, wherever it stands; unclosed, it is all the rest", ("",), lambda _: "")
_first_look("nowiki or pre", "its content is shown as it is", _LITERAL, lambda content: GUARD + literal(content))
_first_look("note (ref)", "it is taken out before links, tables and apostrophes are read", _NOTES, lambda _: "")
_first_look("source of an extension tag", "what a program draws or formats is no text", _PROGRAMS, lambda _: "")
MARKUP.pattern("unclosed extension tag", "it is text, and so is what follows",
               rf"<(?=(?:{_EXTENSIONS})[\s>])(?![^>]*/>)", literal("<"))  # fmt: skip


# Templates and tables.


@MARKUP.reason("noinclude or onlyinclude", "on the page itself their content is shown, that of includeonly is not")
def _inclusion_tags(text: str, wiki: Wiki) -> str:
    text = re.sub(r"<includeonly>.*?(?:</includeonly>|\Z)", "", text, flags=re.DOTALL | re.IGNORECASE)
    return re.sub(r"</?(?:noinclude|onlyinclude)[^>]*>", "", text, flags=re.IGNORECASE)


MARKUP.pattern("day of the run", "words for the day are those of the day of reading",
               r"\{\{\s*(?:current|local)[a-z0-9]+\s*\}\}", "")  # fmt: skip
_INNERMOST_TEMPLATE = re.compile(r"\{\{(?:(?!\{\{|\}\}).)*\}\}", re.DOTALL)


@MARKUP.reason("braces without a partner", "they are text")
def _braces(text: str, wiki: Wiki) -> str:
    masked, before = text, ""
    while masked != before:
        masked, before = _INNERMOST_TEMPLATE.sub(lambda found: "." * len(found[0]), masked), masked
    for found in reversed(list(re.finditer(r"\{\{|\}\}", masked))):
        text = text[: found.start()] + literal(found[0]) + text[found.end() :]
    return text


MARKUP.pattern("table mark in a line", "a table begins and ends at the start of a line",
               r"(?<=[^\s:])\{\||(?<=\S)(?<!\|)\|\}(?!\})", lambda mark: literal(mark[0]))  # fmt: skip


@MARKUP.reason("table that is never closed", "what follows is text, but for the rows")
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


@MARKUP.reason("variants of writing", "-{zh-hans:a;zh-hant:b}- shows one of them")
def _variants(text: str, wiki: Wiki) -> str:
    if not (known := variants(wiki.language)):
        return text
    chosen = next((code for code in known.get(wiki.language, list(known)) if code != wiki.language), wiki.language)
    order = list(dict.fromkeys([*known.get(chosen, [chosen]), *known]))
    return without_removed(resolve_variants(text, order, list(known)))


@MARKUP.reason("behaviour switch", "words like __TOC__ show nothing")
def _switches(text: str, wiki: Wiki) -> str:
    return switches(wiki.language).sub("", text)


# HTML.

_TAGS = (
    r"abbr|b|bdi|bdo|big|blockquote|br|caption|center|cite|code|data|dd|del|dfn|div|dl|dt|em|font|h[1-6]|hr|i|ins|kbd|"
    r"li|link|mark|meta|nobr|ol|p|q|rb|rp|rt|rtc|ruby|s|samp|small|span|strike|strong|sub|sup|table|tbody|td|tfoot|th|"
    r"thead|time|tr|tt|u|ul|var|wbr|poem"
)
MARKUP.pattern("angle bracket that is no tag", "it is text: in &lt;b&gt;, in >> and <<, in tags of unknown names",
               rf"&lt;|<(?!!--|/?(?:{_TAGS}|{_EXTENSIONS})(?=[\s/>])[^<>]*>)|&gt;|(?<![\w\s\"'/-])>|(?<=\s)>|>(?=>)",
               lambda found: literal("<" if found[0] in ("<", "&lt;") else ">"))  # fmt: skip
MARKUP.pattern("attributes of a tag", "a tag ends at its first >", rf"<(/?(?:{_TAGS}))\s[^<>]*?(/?)>", r"<\1\2>")
MARKUP.pattern("small", "its content is shown", r"</?small\s*/?>", "")
MARKUP.pattern("div", "its content is shown", r"</?div\s*/?>", "")
MARKUP.pattern("tag around a link", "a link in ins, del, q, dfn, ruby and the like is a link",
               r"</?(?:bdo|data|del|dfn|ins|mark|nobr|q|rb|rp|rt|rtc|ruby|samp|time|wbr)\s*/?>", "")  # fmt: skip


# Lines.

MARKUP.pattern("bracketed paragraph", "it is shown", r"^(?![=*#;:{|!\s])(?=.*\(.*\)\W*$)", GUARD)
MARKUP.pattern("line like the rest of a table", "outside of tables it is text",
               r"^(?:\{(?![{|])|\|(?!\}))|(?<![}|])\}$", lambda mark: GUARD + mark[0] + GUARD)  # fmt: skip
MARKUP.pattern("heading of the first level", "= x = is a heading", r"^=(?!=)(.*[^=\s])\s*=\s*$", r"==\1==")
MARKUP.pattern("text behind a heading", "then it is none", r"^(?==+[^=\n]+=+[ \t]*[^=\s])", GUARD)
