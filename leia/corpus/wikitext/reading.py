"""The wikitext of one article to plain text with links.

The text follows WikiExtractor's conventions (which paragraphs, headings, quotation marks there are), what is markup and
what is not follows MediaWiki. Each kind of markup is looked for once, in MediaWiki's order, in time that grows with the
text's length, whatever it holds.
"""

import re
from collections import Counter
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

from leia.base.errors import DropReason, UsageError
from leia.base.step import Tally
from leia.corpus.languages import switches, variants
from leia.corpus.siteinfo import Wiki
from leia.corpus.wikitext.inclusions import drop_templates, read_extension_tags
from leia.corpus.wikitext.lines import drop_lists, shown_lines, split_sections, tidy_spaces
from leia.corpus.wikitext.literals import Literals
from leia.corpus.wikitext.marks import LINK_END, LINK_START, LINK_WORDS, REMOVED, without_marks, without_removed
from leia.corpus.wikitext.quotes import read_quotes
from leia.corpus.wikitext.references import decode_references
from leia.corpus.wikitext.tables import drop_tables
from leia.corpus.wikitext.tags import read_tags
from leia.corpus.wikitext.variants import resolve_variants
from leia.corpus.wikitext.wikilinks import LinkReader

_NO_WORDS = re.compile(f"{LINK_START}[0-9]+{LINK_WORDS}\\s*{LINK_END}")
_LINK = re.compile(f"{LINK_START}([0-9]+){LINK_WORDS}([^{LINK_END}]*){LINK_END}")


@dataclass(frozen=True, slots=True)
class ReadArticle:
    """Plain text and its links to articles: link k spans `starts[k]` to `ends[k]` (characters, end exclusive).

    `links` counts those in the wikitext (`[[`, and addresses of the wiki's own pages; not in comments or `nowiki`):
    each is one of `titles` or `dropped`.
    """

    text: str
    starts: list[int]
    ends: list[int]
    titles: list[str]
    links: int
    dropped: Counter[DropReason]


class ReadSection(NamedTuple):
    """The lead of an article or a section of level 2: its heading ("" of the lead), the plain text of its paragraphs
    without any heading, and the titles of the articles that its links lead to, in their order."""

    heading: str
    text: str
    titles: list[str]


@dataclass(frozen=True, slots=True)
class ReadSections:
    """An article in sections, the lead first; those without a paragraph have an empty text. `links` and `dropped` are
    of the whole article, as in `ReadArticle`."""

    sections: list[ReadSection]
    links: int
    dropped: Counter[DropReason]


class WikitextReader:
    """Reads the articles of one wiki. `variant`: the writing that is chosen where a text has several (`-{...}-`); by
    default the first that the language falls back to. Raises `UsageError` for one that the language does not have."""

    def __init__(self, wiki: Wiki, variant: str | None = None) -> None:
        self._links = LinkReader(wiki)
        self._switches = switches(wiki.language)
        self._variants = variants(wiki.language)
        self._order = _order(wiki.language, self._variants, variant)

    def read(self, wikitext: str, title: str = "") -> ReadArticle:
        """The text and the links of the article `title`."""
        markup = self._read_markup(wikitext, title)
        lines = shown_lines(markup.tidy(markup.text), markup.links)
        return markup.plain("\n".join([*lines, "", ""]) if lines else "")

    def read_sections(self, wikitext: str, title: str = "") -> ReadSections:
        """The lead and the sections of level 2 of the article `title`."""
        markup = self._read_markup(wikitext, title)
        sections = []
        for heading, text in split_sections(markup.text, markup.links):
            paragraphs = markup.plain("\n".join(shown_lines(markup.tidy(text), markup.links)))
            sections.append(ReadSection(markup.words(heading), paragraphs.text.strip(), paragraphs.titles))
        return ReadSections(sections, markup.written, markup.links.dropped)

    def _read_markup(self, wikitext: str, title: str) -> "_Markup":
        """All markup of an article but what makes lines of it."""
        links = Tally("links")
        literals = Literals()
        titles: list[str] = []
        text = without_marks(wikitext)
        text = read_extension_tags(text, literals, links)
        written = text.count("[[") + links.read
        text = drop_templates(text, title, links)
        if self._variants:
            text = resolve_variants(text, self._order, self._variants, links)
        text = read_tags(text, literals, links)
        text = drop_tables(text, links)
        literals.number(text)
        text = drop_lists(text, links)
        if "__" in text or "＿＿" in text:
            text = self._switches.sub(REMOVED, text)
        text = self._links.read_internal(text, titles, links)
        text, own_addresses = self._read_lines(text, titles, links)
        return _Markup(text, literals, titles, written + own_addresses, links)

    def _read_lines(self, text: str, titles: list[str], links: Tally) -> tuple[str, int]:
        """`text` with external links and apostrophes read, line by line, and the number of links that came so."""
        lines = text.split("\n")
        added = 0
        for number, line in enumerate(lines):
            if "[" in line:
                line, own = self._links.read_external(line, titles, links)
                added += own
            if "''" in line or '""' in line:
                line = read_quotes(line)
            lines[number] = line
        return "\n".join(lines), added


@dataclass(slots=True)
class _Markup:
    """An article whose markup was read: its `text` with marks for what was found, and what the marks stand for."""

    text: str
    literals: Literals
    titles: list[str]
    written: int
    links: Tally

    def tidy(self, text: str) -> str:
        """`text`, all of the article's or a part, without links that have no words, and with tidy spaces."""
        text, empty = _NO_WORDS.subn("", without_removed(text))
        self.links.drop(DropReason.NO_WORDS, empty)
        return tidy_spaces(text)

    def plain(self, text: str) -> ReadArticle:
        """Text and links of what `tidy` gave, or of some of its lines."""
        text = self.literals.put_back(decode_references(text))
        return _split(text, self.titles, self.written, self.links)

    def words(self, heading: str) -> str:
        """The plain text of a heading, whose links are counted already."""
        heading = tidy_spaces(without_removed(_LINK.sub(r"\2", heading)))
        return self.literals.put_back(decode_references(heading)).strip()


def _order(language: str, known: dict[str, list[str]], variant: str | None) -> list[str]:
    if variant is not None and variant not in known:
        choice = f"; expected one of {', '.join(known)}" if known else ", which is written in one way only"
        raise UsageError(f"--variant: {variant!r} is no variant of {language!r}{choice}")
    if not known:
        return []
    of_language = known.get(language, list(known))
    chosen = variant or next((code for code in of_language if code != language), language)
    return list(dict.fromkeys([*known.get(chosen, [chosen]), *of_language, *known]))


def _split(text: str, titles: list[str], written: int, links: Tally) -> ReadArticle:
    """Take the marks out of `text`."""
    parts = _LINK.split(text)  # text, number of a link, its words, text, number ...
    targets = [titles[int(number)] for number in parts[1::3]]
    del parts[1::3]
    ends = list(accumulate(map(len, parts)))
    article = ReadArticle("".join(parts), ends[:-1:2], ends[1::2], targets, written, links.dropped)
    if any(words[:1].isspace() or words[-1:].isspace() or not words for words in parts[1::2]):
        return _without_spaces(article)
    return article


def _without_spaces(article: ReadArticle) -> ReadArticle:
    """The links without the white space at their ends, and without those that are nothing else."""
    text, starts, ends, targets = article.text, [], [], []
    for start, end, title in zip(article.starts, article.ends, article.titles, strict=True):
        if words := text[start:end].strip():
            starts.append(text.index(words, start))
            ends.append(starts[-1] + len(words))
            targets.append(title)
        else:
            article.dropped[DropReason.NO_WORDS] += 1
    return ReadArticle(text, starts, ends, targets, article.links, article.dropped)
