"""Differences between the two ways that are seen in their articles, and what is left of an article without them."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.two_ways import END, START, WORDS, Dump
from leia.corpus.targets import Kind, resolve_target


@dataclass(frozen=True, slots=True)
class Normalisation:
    """`name`, the `rule` by which the ways may differ so, and `apply(article, dump)`, which takes the difference away.

    An article is as `benchmarks.two_ways` gives it.
    """

    name: str
    rule: str
    apply: Callable[[str, Dump], str]


_MARKED = re.compile(f"{START}([^{WORDS}]*){WORDS}([^{END}]*){END}")
_FIRST_SPACES = re.compile(rf"({START}[^{WORDS}]*{WORDS})(\s+)")
_LAST_SPACES = re.compile(rf"(\s+){END}")
_ADDRESS = re.compile(r"[a-z]*:?//|mailto:|news:|sips?:|sms:|tel:|urn:|xmpp:", re.IGNORECASE)
_AT_PUNCTUATION = re.compile(rf" (?={END}*[,:.)\]»])|(?<=[\[(«]) ")


def _without_other_wikis(article: str, dump: Dump) -> str:
    def unlink(link: re.Match[str]) -> str:
        is_address = _ADDRESS.match(_title(link)) is not None
        return link[2] if is_address or resolve_target(_title(link), dump.wiki).kind is not Kind.ARTICLE else link[0]

    return _MARKED.sub(unlink, article)


def _without_empty_links(article: str, _: Dump) -> str:
    return _MARKED.sub(lambda link: link[0] if link[2].strip() else link[2], article)


def _with_titles_resolved(article: str, dump: Dump) -> str:
    def resolve(link: re.Match[str]) -> str:
        target = resolve_target(_title(link), dump.wiki)
        return (
            link[0] if target.kind is not Kind.ARTICLE else f"{START}{dump.target(target.title)}{WORDS}{link[2]}{END}"
        )

    return _MARKED.sub(resolve, article)


def _without_first_letters(article: str, dump: Dump) -> str:
    if dump.wiki.first_letter:
        return article
    return _MARKED.sub(lambda link: f"{START}{link[1][:1].lower()}{link[1][1:]}{WORDS}{link[2]}{END}", article)


def _without_apostrophes(article: str, _: Dump) -> str:
    return re.sub("[\"']", "", article)


def _without_lines_of_punctuation(article: str, _: Dump) -> str:
    lines = article.split("\n")
    return "\n".join(line for line in lines if not line.strip() or re.search(r"\w", _MARKED.sub(r"\2", line)))


def _without_spaces(article: str, _: Dump) -> str:
    article = _LAST_SPACES.sub(rf"{END}\1", _FIRST_SPACES.sub(r"\2\1", article))
    article = re.sub(r"\s*\n\s*", "\n", re.sub(r"[ \t]+", " ", article))
    return _AT_PUNCTUATION.sub("", article).strip()


def _title(link: re.Match[str]) -> str:
    return link[1].partition("\t")[0]


LINK_NORMALISATIONS = (
    Normalisation("link elsewhere", "[[wikt:x]] and [mailto:a] lead to no page of this wiki", _without_other_wikis),
    Normalisation("link without words", "an anchor of no length marks nothing", _without_empty_links),
    Normalisation("title", "spaces and marks of direction do not count in it", _with_titles_resolved),
    Normalisation("first letter of a title", "some wikis tell small ones from capitals", _without_first_letters),
)
NORMALISATIONS = (  # in the order in which they are applied
    *LINK_NORMALISATIONS,
    Normalisation("apostrophes", "which are bold, italics or themselves is seen by line", _without_apostrophes),
    Normalisation("line of punctuation", "it is left out, not every second one", _without_lines_of_punctuation),
    Normalisation("spaces", "at the ends of lines and links, and beside punctuation", _without_spaces),
)


def links_of(article: str) -> list[tuple[str, str]]:
    """`(target, words)` of each link."""
    return _MARKED.findall(article)
