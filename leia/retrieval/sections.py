"""From a dump to the sections of its articles: plain text, and the Wikidata ids of the pages that its links lead to."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from leia.base.datasets import integer_array, string_array
from leia.base.errors import DropReason, InputError
from leia.base.pool import map_in_order
from leia.base.step import Counts
from leia.corpus.articles import Pages
from leia.corpus.dump_parts import name_of
from leia.corpus.dumps import EXPECTED_PAGES_DUMP, read_pages
from leia.corpus.extraction import article_of, count_links, groups_of_pages, open_wiki
from leia.corpus.sentences import sentences
from leia.corpus.siteinfo import Wiki
from leia.corpus.wikitext.reading import WikitextReader

MADE_BY = "scripts/build_aligned_sections.py"
_LARGE_LOSS_OF_ARTICLES = 0.05  # for one reason; the last lines of the step name it

SECTIONS_SCHEMA = pa.schema(
    {
        "id": pa.string(),
        "wikidata_id": pa.string(),
        "title": pa.string(),
        "heading": pa.string(),
        "text": pa.string(),
        "link_ids": pa.list_(pa.string()),
    }
)
"""One row a section. `id` is `<language>-<QID>-<number>`: the QID of its article and its number in that, 0 for the
lead; sections that were left out count in the numbers. `title` is the article's, `heading` that of level 2, "" of the
lead. `link_ids` are QIDs in the order of the links, each once, without the article's own."""


class Section(NamedTuple):
    """A row of `SECTIONS_SCHEMA`, in UTF-8."""

    id: bytes
    wikidata_id: bytes
    title: bytes
    heading: bytes
    text: bytes
    link_ids: list[bytes]


def read_sections(
    parts: Sequence[Path],
    redirect_file: str | Path,
    wikidata_id_file: str | Path,
    workers: int,
    counts: Counts,
    variant: str | None = None,
    allow_truncated: bool = False,
    min_sentences: int = 2,
    min_characters: int = 100,
) -> Iterator[pa.RecordBatch]:
    """Yield batches of `SECTIONS_SCHEMA` with the sections of a dump, given as its `parts`, in its order.

    A section is kept when it has `min_sentences` sentences or `min_characters` characters; its article needs a Wikidata
    id. `counts` gets the pages of the dump, the articles among them, their links, their sections, and the rows of the
    id file. Errors as in `extract_articles`.
    """
    pages, articles, _, sections = map(counts.count, ("pages", "articles", "links", "sections"))
    articles.alarm = _LARGE_LOSS_OF_ARTICLES
    wiki, reader, known = open_wiki(parts, redirect_file, wikidata_id_file, counts, variant)
    splitter = Splitter(wiki, reader, known, min_sentences, min_characters)
    met: set[int] = set()
    blocks = read_pages(parts, allow_truncated, pages)
    for _, (by_article, counted) in map_in_order(splitter, groups_of_pages(blocks), workers):
        counts.add(counted)
        rows: list[Section] = []
        for of_article in by_article:
            number = int(of_article[0].wikidata_id[1:])
            if number in met:  # a page that was moved while the dump was written may be in it twice
                articles.kept -= 1
                articles.drop(DropReason.SAME_QID_EARLIER)
                sections.kept -= len(of_article)
                sections.drop(DropReason.SAME_QID_EARLIER, len(of_article))
            else:
                met.add(number)
                rows += of_article
        yield section_batch(rows)
    if not sections.kept:
        found = f"{pages.read:,} pages, of which {articles.read:,} are articles"
        if articles.read and articles.dropped[DropReason.NO_QID] == articles.read:
            advice = f"is {wikidata_id_file} of the wiki {wiki.language!r}?"
            raise InputError(f"{name_of(parts)}: found {found} and none has a Wikidata id; {advice}")
        raise InputError(f"{name_of(parts)}: expected {EXPECTED_PAGES_DUMP}, found {found} and none has a section")


def section_batch(rows: Sequence[Section]) -> pa.RecordBatch:
    """The sections in `SECTIONS_SCHEMA`."""
    bounds = np.cumsum([0, *(len(row.link_ids) for row in rows)])
    link_ids = string_array(list(chain.from_iterable(row.link_ids for row in rows)))
    columns = [string_array([row[column] for row in rows]) for column in range(len(SECTIONS_SCHEMA) - 1)]
    columns.append(pa.ListArray.from_arrays(integer_array(bounds, pa.int32()), link_ids))
    return pa.RecordBatch.from_arrays(columns, schema=SECTIONS_SCHEMA)


class Splitter:
    """Turns a list of `<page>` elements, without their end tags, into the sections of each article and their counts."""

    def __init__(
        self, wiki: Wiki, reader: WikitextReader, pages: Pages, min_sentences: int, min_characters: int
    ) -> None:
        self._wiki, self._reader = wiki, reader
        self._min_sentences, self._min_characters = min_sentences, min_characters
        self._pages = pages
        self._qid = lru_cache(maxsize=1 << 18)(self._find_qid)

    def __call__(self, pages: list[bytes]) -> tuple[list[list[Section]], Counts]:
        counts = Counts()
        articles = (article_of(page, self._wiki, counts) for page in pages)
        found = [self._sections(*article, counts) for article in articles if article]
        return [sections for sections in found if sections], counts

    def _sections(self, title: str, wikitext: str, counts: Counts) -> list[Section]:
        articles, tally = counts.count("articles"), counts.count("sections")
        own_id = self._qid(title)
        if own_id is None:
            articles.drop(DropReason.NO_QID)
            return []
        read = self._reader.read_sections(wikitext, title)
        count_links(read, sum(len(section.titles) for section in read.sections), title, counts.count("links"))
        kept = []
        for number, (heading, text, titles) in enumerate(read.sections):
            if not self._is_long_enough(text):
                tally.drop(DropReason.TOO_SHORT if text else DropReason.NO_TEXT)
                continue
            link_ids = dict.fromkeys(map(self._qid, titles))
            link_ids = [qid for qid in link_ids if qid not in (None, own_id)]
            row_id = f"{self._wiki.language}-{own_id.decode()}-{number}"
            kept.append(Section(row_id.encode(), own_id, title.encode(), heading.encode(), text.encode(), link_ids))
        tally.kept += len(kept)
        if kept:
            articles.kept += 1
        else:
            articles.drop(DropReason.NO_SECTION)
        return kept

    def _find_qid(self, title: str) -> bytes | None:
        """The QID of the page that a link to `title` ends at."""
        _, qid = self._pages.find(title)
        return qid if qid is not None and qid[1:].isdigit() else None

    def _is_long_enough(self, text: str) -> bool:
        if not text or len(text) >= self._min_characters:
            return bool(text)
        return len(sentences(text, self._wiki.language)) >= self._min_sentences
