"""From a dump to preprocessed articles: plain text, and anchors with the Wikidata ids of their pages, in one pass."""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import click
import pyarrow as pa

from leia.base.errors import DropReason, InputError
from leia.base.pool import map_in_order
from leia.base.step import Counts, Tally
from leia.corpus.articles import Article, Pages, record_batch, with_ids_counted
from leia.corpus.dump_parts import name_of
from leia.corpus.dumps import EXPECTED_PAGES_DUMP, PAGE_END, read_pages, start_of_dump, unescape
from leia.corpus.id_files import check_id_file, check_redirect_file, read_ids
from leia.corpus.redirects import read_redirect_file
from leia.corpus.siteinfo import MAIN, Wiki, read_wiki
from leia.corpus.targets import Kind, resolve_target
from leia.corpus.wikitext.reading import ReadArticle, ReadSections, WikitextReader

_PAGES_PER_BATCH = 200
_LARGE_LOSS_OF_ARTICLES, _LARGE_LOSS_OF_LINKS = 0.01, 0.05  # for one reason; the last lines of the step name them
_TITLE = re.compile(rb"<title>([^<]*)</title>(?:\s*<ns>(-?\d+)</ns>)?")
_MODEL = re.compile(rb"<model>([^<]*)</model>")


def extract_articles(
    parts: Sequence[Path],
    redirect_file: str | Path,
    wikidata_id_file: str | Path,
    workers: int,
    counts: Counts,
    variant: str | None = None,
    allow_truncated: bool = False,
) -> Iterator[pa.RecordBatch]:
    """Yield batches of `PREPROCESSED_SCHEMA` with the articles of a dump, given as its `parts`, in its order.

    Articles without text or links are left out. `counts` gets the pages of the dump, the articles among them, their
    links, and the rows of the id file. Raises `InputError` for a file that is not a dump or breaks off (with
    `allow_truncated` the pages before the break are used) and for redirects or ids of another wiki; `UsageError` for a
    `variant` that the language does not have. Warns when not one link has a Wikidata id.
    """
    pages, articles, links = counts.count("pages"), counts.count("articles"), counts.count("links")
    articles.alarm, links.alarm = _LARGE_LOSS_OF_ARTICLES, _LARGE_LOSS_OF_LINKS
    wiki, reader, known = open_wiki(parts, redirect_file, wikidata_id_file, counts, variant)
    extractor = Extractor(wiki, reader, known)

    def batches() -> Iterator[pa.RecordBatch]:
        blocks = read_pages(parts, allow_truncated, pages)
        for _, (batch, counted) in map_in_order(extractor, groups_of_pages(blocks), workers):
            counts.add(counted)
            yield batch
        if not articles.kept:
            found = f"{pages.read:,} pages, of which {articles.read:,} are articles and none has a link to another"
            raise InputError(f"{name_of(parts)}: expected {EXPECTED_PAGES_DUMP}, found {found}")

    yield from with_ids_counted(batches(), links, wikidata_id_file, wiki.language)


def open_wiki(
    parts: Sequence[Path],
    redirect_file: str | Path,
    wikidata_id_file: str | Path,
    counts: Counts,
    variant: str | None = None,
) -> tuple[Wiki, WikitextReader, Pages]:
    """What reading the articles of a dump takes: its wiki, the reader of its wikitext, the pages that links lead to.

    Errors as in `extract_articles`; `counts` gets the rows of the id file.
    """
    wiki = wiki_of(parts)
    reader = WikitextReader(wiki, variant)
    check_redirect_file(redirect_file, wiki.language)
    check_id_file(wikidata_id_file, wiki.language)
    redirects = read_redirect_file(redirect_file, lambda title: own_title(title, wiki))
    ids = read_ids(wikidata_id_file, lambda title: own_title(title, wiki), counts)
    return wiki, reader, Pages(redirects, ids)


def wiki_of(parts: Sequence[Path]) -> Wiki:
    """The wiki of a dump, by its head."""
    return read_wiki(start_of_dump(parts[0]).decode("utf-8", "replace"))


def own_title(title: str, wiki: Wiki) -> str:
    """`title` as links to it are resolved; that of a page outside the main namespace as it is."""
    kind, resolved = resolve_target(title, wiki)
    return resolved if kind is Kind.ARTICLE else title


def groups_of_pages(blocks: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Lists of pages, of the same number however long the blocks are: so that the output depends on nothing else."""
    pages: list[bytes] = []
    for block in blocks:
        pages += block.split(PAGE_END)[:-1]
        while len(pages) >= _PAGES_PER_BATCH:
            yield pages[:_PAGES_PER_BATCH]
            del pages[:_PAGES_PER_BATCH]
    if pages:
        yield pages


class Extractor:
    """Turns a list of `<page>` elements, without their end tags, into a record batch and its counts."""

    def __init__(self, wiki: Wiki, reader: WikitextReader, pages: Pages) -> None:
        self._wiki, self._reader = wiki, reader
        self._find = lru_cache(maxsize=1 << 18)(pages.find)

    def __call__(self, pages: list[bytes]) -> tuple[pa.RecordBatch, Counts]:
        counts = Counts()
        found = (article_of(page, self._wiki, counts) for page in pages)
        kept = [article for page in found if page and (article := self._read_article(*page, counts))]
        return record_batch(kept, self._wiki.language), counts

    def _read_article(self, title: str, wikitext: str, counts: Counts) -> Article | None:
        articles, links = counts.count("articles"), counts.count("links")
        read = self._reader.read(wikitext, title)
        count_links(read, len(read.titles), title, links)
        if not read.text or not read.titles:
            articles.drop(DropReason.NO_LINK if read.text else DropReason.NO_TEXT)
            return None
        articles.kept += 1
        anchors = list(zip(read.starts, read.ends, map(self._find, read.titles), strict=True))
        return Article(title.encode(), read.text.encode(), anchors)


def count_links(read: ReadArticle | ReadSections, kept: int, title: str, links: Tally) -> None:
    """Count the links of the article `title`; warn where some are neither among the `kept` nor dropped."""
    links.kept += kept
    links.dropped.update(read.dropped)
    if lost := read.links - kept - read.dropped.total():
        links.drop(DropReason.UNACCOUNTED, lost)
        click.echo(f"warning: {title}: {lost} links are not accounted for; this is a bug, please report it", err=True)


def article_of(page: bytes, wiki: Wiki, counts: Counts) -> tuple[str, str] | None:
    """Title and wikitext of the article that a `<page>` element, without its end tag, holds; None where it holds none.

    `counts` gets the page, and the article where it is not in wikitext."""
    pages, articles = counts.count("pages"), counts.count("articles")
    title, namespace = _title_of(page, wiki)
    revision = page.find(b"<revision>")
    if namespace != MAIN or b"<redirect" in page[:revision]:
        pages.drop(DropReason.NOT_AN_ARTICLE if namespace != MAIN else DropReason.REDIRECT)
        return None
    pages.kept += 1
    model = _MODEL.search(page, revision)
    if model and model[1] != b"wikitext":
        articles.drop(DropReason.NOT_WIKITEXT)
        return None
    return title, _text_of(page)


def _title_of(page: bytes, wiki: Wiki) -> tuple[str, int]:
    """Title and number of the namespace; that is told by the title in dumps of before 2012."""
    found = _TITLE.search(page)
    if found is None:
        raise InputError(f"the dump holds a page without a title: {page[:80]!r}; download it again")
    title = unescape(found[1].decode("utf-8", "replace"))
    if found[2] is not None:
        return title, int(found[2])
    return title, wiki.namespaces.get(title.partition(":")[0].lower(), MAIN) if ":" in title else MAIN


def _text_of(page: bytes) -> str:
    """The wikitext of a page; empty where it was deleted."""
    start = page.find(b">", page.find(b"<text")) + 1
    end = page.rfind(b"</text>")
    if end < start or page[start - 2 : start] == b"/>":
        return ""
    return unescape(page[start:end].decode("utf-8", "replace"))
