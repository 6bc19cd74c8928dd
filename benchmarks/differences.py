"""Why an article differs between the two ways: a set of reasons with which it is equal and without one of which it is
not, found by trying them out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from benchmarks.normalisations import LINK_NORMALISATIONS, NORMALISATIONS, Normalisation, links_of
from benchmarks.reasons_of_links import LINKS
from benchmarks.reasons_of_markup import MARKUP
from benchmarks.rewriting import Rewriting
from benchmarks.two_ways import GUARD, START, Dump

Reason = Rewriting | Normalisation
REWRITINGS = (*MARKUP, *LINKS)
MALTA = Rewriting("title like the template namespace", "Malta is an article", lambda wikitext, wiki: wikitext)
"""The one reason that is not in the wikitext: the page is given another title."""


class Explainer:
    """Finds the reasons for the differences of a dump's articles, of which our own way makes `own`."""

    def __init__(self, dump: Dump, own: Mapping[str, str]) -> None:
        self._dump, self._own = dump, own

    def explain(self, titles: Iterable[str]) -> dict[str, tuple[Reason, ...]]:
        """`{title: reasons}` of the articles whose difference is explained."""
        candidates = {title: self._candidates(title) for title in titles}
        found: dict[str, tuple[Rewriting, ...]] = {}
        texts: dict[str, str] = {}
        self._keep_equal(candidates, found, texts)
        for reason in REWRITINGS:  # perhaps one of them does harm
            rest = {title: chosen for title, chosen in candidates.items() if title not in found and reason in chosen}
            self._keep_equal(_without(reason, rest), found, texts)
        for reason in (*REWRITINGS, MALTA):
            chosen = {title: rewritings for title, rewritings in found.items() if reason in rewritings}
            self._keep_equal(_without(reason, chosen), found, texts)
        return {title: (*chosen, *self._needed(title, texts.get(title))) for title, chosen in found.items()}

    def closest(self, title: str) -> tuple[str, str]:
        """The article of the published way with everything rewritten, and our own, both as alike as can be."""
        texts = self._publish({title: self._candidates(title)})
        published, own = (self._normalise(text, NORMALISATIONS) for text in (texts.get(title), self._own.get(title)))
        return published or "", own or ""

    def _candidates(self, title: str) -> tuple[Rewriting, ...]:
        """The rewritings that change something in the page."""
        wikitext, changing = self._dump.sources[title].wikitext, [MALTA]
        for rewriting in REWRITINGS:
            rewritten = rewriting.apply(wikitext, self._dump.wiki)
            if rewritten != wikitext:
                changing.append(rewriting)
                wikitext = rewritten
        return tuple(changing)

    def _keep_equal(
        self,
        chosen: Mapping[str, tuple[Rewriting, ...]],
        found: dict[str, tuple[Rewriting, ...]],
        texts: dict[str, str],
    ) -> None:
        """Try the rewritings `chosen` for each page; `found` and `texts` get those that make it equal."""
        published = self._publish(chosen)
        for title, rewritings in chosen.items():
            if self._equal(title, published.get(title), NORMALISATIONS):
                found[title] = rewritings
                texts[title] = published.get(title, "")

    def _publish(self, chosen: Mapping[str, tuple[Rewriting, ...]]) -> dict[str, str]:
        rewritten = {}
        for title, rewritings in chosen.items():
            wikitext = self._dump.sources[title].wikitext
            for rewriting in rewritings:
                wikitext = rewriting.apply(wikitext, self._dump.wiki)
            rewritten[title] = (GUARD + title if MALTA in rewritings else title, wikitext)
        return self._dump.published(rewritten)

    def _needed(self, title: str, published: str | None) -> tuple[Normalisation, ...]:
        needed = NORMALISATIONS
        for reason in reversed(NORMALISATIONS):  # the most general first
            less = tuple(kept for kept in needed if kept is not reason)
            if self._equal(title, published, less):
                needed = less
        return needed

    def _equal(self, title: str, published: str | None, normalisations: Iterable[Normalisation]) -> bool:
        own = self._own.get(title)
        return self._normalise(published, normalisations) == self._normalise(own, normalisations)

    def _normalise(self, article: str | None, normalisations: Iterable[Normalisation]) -> str | None:
        return with_links(normalise(article or "", normalisations, self._dump))


def normalise(article: str, normalisations: Iterable[Normalisation], dump: Dump) -> str:
    """The article without the differences that the normalisations take away."""
    for normalisation in normalisations:
        article = normalisation.apply(article, dump)
    return article


def with_links(article: str | None) -> str | None:
    """The article; None where it is left out, as one without a link is."""
    return article if article and START in article else None


def _without(reason: Rewriting, chosen: Mapping[str, tuple[Rewriting, ...]]) -> dict[str, tuple[Rewriting, ...]]:
    return {title: tuple(kept for kept in rewritings if kept is not reason) for title, rewritings in chosen.items()}


@dataclass(slots=True)
class KeptLinks:
    """Links of the published way: how many our own way has, too, and with how many of those `other_words`; `lost` those
    that it has not, as (article, page, words); `set_aside` those that lead to no page of the wiki or have no words.
    `gained` are ours alone."""

    kept: int = 0
    other_words: int = 0
    lost: list[tuple[str, str, str]] = field(default_factory=list)
    set_aside: int = 0
    gained: int = 0


def count_links(dump: Dump, published: Mapping[str, str], own: Mapping[str, str]) -> KeptLinks:
    """Compare the links article by article, in their order: the same link is one that leads to the same page."""
    links = KeptLinks()
    for title, article in published.items():
        mine = links_of(normalise(own.get(title, ""), LINK_NORMALISATIONS, dump))
        theirs = links_of(normalise(article, LINK_NORMALISATIONS, dump))
        links.set_aside += len(links_of(article)) - len(theirs)
        position, kept = 0, 0
        for target, words in theirs:
            place = next((n for n in range(position, len(mine)) if mine[n][0] == target), None)
            if place is None:
                links.lost.append((title, target.partition("\t")[0], words))
                continue
            position, kept = place + 1, kept + 1
            links.other_words += not _bare(mine[place][1]).startswith(_bare(words))
        links.kept += kept
        links.gained += len(mine) - kept
    links.gained += sum(len(links_of(article)) for title, article in own.items() if title not in published)
    return links


def _bare(words: str) -> str:
    """`words` without quotation marks and spaces."""
    return "".join(words.replace('"', "").replace("'", "").split())
