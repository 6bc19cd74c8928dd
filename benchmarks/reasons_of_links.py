"""Where WikiExtractor, or HTML as it writes it, goes wrong with links, with the rules of MediaWiki that it breaks."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.rewriting import Rewritings
from benchmarks.two_ways import literal
from leia.corpus.languages import link_trail
from leia.corpus.siteinfo import Wiki
from leia.corpus.targets import Kind, resolve_target

LINKS = Rewritings()
_ADDRESS = r"\[(?:(?:https?|ftps?|gopher|irc|sftp|ssh)?:?//|mailto:|news:|sips?:|sms:|tel:|urn:|xmpp:)[^\s\[\]]+"
LINKS.pattern("address without words", "it shows a number", rf"{_ADDRESS}\s*\]", "")


@LINKS.reason("address of the own wiki", "it is a link like others")
def _own_addresses(text: str, wiki: Wiki) -> str:
    own = rf"\[(?:https?:)?//{re.escape(wiki.language)}(?:\.m)?\.wikipedia\.org/wiki/([^?#\s\]]+)\s+([^\]\n]*)\]"
    return re.sub(own, r"[[\1|\2]]", text, flags=re.IGNORECASE)


_WORDS_WITH_LINKS = r"((?:[^\[\]\n]|\[\[[^\[\]\n]*\]\]|\[[^\[\]\n]*\])*)"
LINKS.pattern("address, and links in its words", "of it the words are shown, and links in them are links",
              rf"{_ADDRESS}[^\S\n]+{_WORDS_WITH_LINKS}\]", r"\1")  # fmt: skip
LINKS.pattern("link in a link", "the inner one is the link, the outer one text",
              r"\[\[([^\[\]|:\n]+\|[^\[\]\n]*)(\[\[[^\[\]\n]*\]\])([^\[\]\n]*)\]\]",
              lambda found: literal("[[" + found[1]) + found[2] + found[3] + literal("]]"))  # fmt: skip
LINKS.pattern("three brackets", "a link may not begin with a bracket: it is text", r"\[\[\[[^\[\]\n]*\]\]+",
              lambda found: literal(found[0]))  # fmt: skip
_LINK = r"\[\[([^\[\]|<>{}\n]+)(?:\|((?:[^\[\]]|\[[^\[\]]*\])*))?\]\]"
_BRACKETS = str.maketrans({bracket: literal(bracket) for bracket in "[]"})
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

        LINKS.reason(name, rule)(apply)

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


@_links("reference in a title", "it stands for its character, in a title too")
def _references(link: _Link) -> str:
    if "&" not in link.target or link.kind is not Kind.ARTICLE:
        return link.written
    return f"[[{link.title}|{link.label}]]{link.trail}"


@_links("bracket in a label", "it belongs to the label, at its end too")
def _brackets(link: _Link) -> str:
    if "[" not in link.label or link.kind in _SHOW_NOTHING:
        return link.written
    return f"[[{link.target}|{link.label.translate(_BRACKETS)}]]{link.trail}"


@_links("link trail", "letters that follow a link belong to it")
def _trail(link: _Link) -> str:
    if not link.trail or link.kind in _SHOW_NOTHING:
        return link.written
    return f"[[{link.target}|{link.label}{link.trail}]]"
