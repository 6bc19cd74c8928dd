r"""Compare the extraction of our own with the published way, article by article: equal, or for which reasons not.

The published way is run_wikiextractor.py and preprocess_wikipedia.py, our own is extract_articles.py. A reason is given
where the published way, without WikiExtractor's defect of this name (`benchmarks.reasons`), makes the same article as
our own; so WikiExtractor runs some 30 times on the articles that differ. The dump is held in memory.

    python benchmarks/compare_extraction.py ltgwiki-2026-01-01-p1p4711.xml.bz2 --show 10
"""

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).parents[1]))  # benchmarks/ is not part of the package

from benchmarks.differences import Explainer, KeptLinks, Reason, count_links, with_links
from benchmarks.normalisations import without_layout
from benchmarks.two_ways import END, START, WORDS, Dump
from leia.base.cli import EXISTING_FILE, OUTPUT_FILE, allow_truncated_option, command, num_workers_option
from leia.corpus.dump_parts import find_parts

_AROUND = 60
_UNEXPLAINED = "differ without a named reason"


@dataclass(frozen=True, slots=True)
class Comparison:
    """What became of each article that one of the ways keeps: no reasons where it is equal, None where there is no
    named reason for the difference."""

    site: str
    articles: dict[str, tuple[Reason, ...] | None]
    links: KeptLinks
    examples: dict[str, str]
    """Of articles without a named reason, where the ways differ first."""

    def share(self, count: int) -> str:
        return f"{count:,} ({count / max(len(self.articles), 1):.1%})"

    def summary(self) -> Iterator[str]:
        """The lines to print."""
        equal = sum(reasons == () for reasons in self.articles.values())
        unexplained = sum(reasons is None for reasons in self.articles.values())
        named = len(self.articles) - equal - unexplained
        yield f"{self.site}: {len(self.articles):,} articles, {self.share(equal)} equal"
        yield f"{self.share(named)} differ for named reasons alone, {self.share(unexplained)} {_UNEXPLAINED}"
        counted = Counter(reason for reasons in self.articles.values() for reason in reasons or ())
        yield from (f"{count:>8,}  {reason.name}: {reason.rule}" for reason, count in counted.most_common())
        links = self.links
        yield f"links of the published way: {links.kept:,} kept, {len(links.lost):,} lost"
        yield f"  {len(links.gone):,} gone for a reason named above"
        yield f"  {links.set_aside:,} not counted: without words, or to another wiki"
        yield f"links of our own way alone: {links.gained:,}"
        for title, target, words in links.gone:
            yield f"{title}: [[{target}|{words}]] gone for: {self._reasons(title)}"
        yield from (f"{title}: lost [[{target}|{words}]]" for title, target, words in links.lost)

    def _reasons(self, title: str) -> str:
        return "; ".join(reason.name for reason in self.articles[title] or ())

    def lines(self) -> Iterator[str]:
        """A line for each article: its title, and whether it is equal or why not; those without a reason come first."""
        for title, reasons in sorted(self.articles.items(), key=lambda row: (row[1] is not None, not row[1])):
            found = "equal" if reasons == () else self._reasons(title) or f"{_UNEXPLAINED}: {self.examples[title]}"
            yield f"{title}\t{found}"


@command
@click.argument("dumps", nargs=-1, required=True, type=click.Path(exists=True))
@click.option("--wikidata_dump", type=EXISTING_FILE, help="Compare Wikidata ids, too, taken from this dump.")
@click.option("--show", type=click.IntRange(0), default=0, help="Print this many articles that differ.")
@click.option("--output_file", type=OUTPUT_FILE, help="Write a line for each article to this file.")
@num_workers_option
@allow_truncated_option
def main(
    dumps: tuple[str, ...],
    wikidata_dump: str | None,
    show: int,
    output_file: str | None,
    num_workers: int,
    allow_truncated: bool,
) -> None:
    lines: list[str] = []
    for given in dumps:
        comparison = compare(Dump(find_parts([given]), wikidata_dump, num_workers, allow_truncated))
        click.echo("\n".join(comparison.summary()))
        lines += comparison.lines()
    for line in [line for line in lines if not line.endswith("\tequal")][:show]:
        click.echo(line)
    if output_file:
        Path(output_file).write_text("".join(f"{line}\n" for line in lines), "utf-8")


def compare(dump: Dump) -> Comparison:
    """Take both ways and find the reasons for their differences."""
    own, documents = dump.own(), dump.published()
    published = {title: text for title, text in documents.items() if with_links(text)}
    titles = [title for title in dump.sources if title in published or title in own]
    different = [t for t in titles if without_layout(published.get(t, "")) != without_layout(own.get(t, ""))]
    explainer = Explainer(dump, own)
    explained = explainer.explain(different)
    unexplained = [title for title in different if title not in explained]
    articles = dict.fromkeys(titles, ()) | dict.fromkeys(unexplained) | explained
    examples = {title: _first_difference(*explainer.closest(title)) for title in unexplained}
    return Comparison(dump.wiki.site, articles, count_links(dump, published, own, explained), examples)


def _first_difference(published: str, own: str) -> str:
    pairs = enumerate(zip(published, own, strict=False))
    start = next((place for place, (one, other) in pairs if one != other), min(len(published), len(own)))
    places = slice(max(start - _AROUND, 0), start + _AROUND)
    published, own = (_readable(text[places]) for text in (published, own))
    return f"published {published!r}, own {own!r}"


def _readable(article: str) -> str:
    return article.replace(START, "[[").replace(WORDS, "|").replace(END, "]]").replace("\t", "")


if __name__ == "__main__":
    main()
