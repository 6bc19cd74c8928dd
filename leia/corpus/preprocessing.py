"""From WikiExtractor's files to preprocessed articles: plain text, and anchors with the Wikidata ids of their pages."""

from collections.abc import Iterator, Mapping
from functools import lru_cache, partial
from pathlib import Path

import pyarrow as pa

from leia.base.cli import progress
from leia.base.errors import DropReason, InputError
from leia.base.pool import map_in_order
from leia.base.step import Counts, Tally, kept_by_step
from leia.corpus.articles import Article, Page, Pages, record_batch, with_ids_counted
from leia.corpus.id_files import check_id_file, check_redirect_file, read_ids
from leia.corpus.redirects import read_redirect_file
from leia.corpus.titles import normalize_title, title_of_href
from leia.corpus.wikiextractor import MADE_BY, find_files, read_documents, split_links


def preprocess_files(
    folder: str | Path,
    redirect_file: str | Path,
    wikidata_id_file: str | Path,
    workers: int,
    counts: Counts,
) -> Iterator[pa.RecordBatch]:
    """Yield a batch of `PREPROCESSED_SCHEMA` for each WikiExtractor file under `folder`, in sorted order.

    Articles without text or links are left out; `counts` gets the articles, their links, and the rows of the id file.
    Raises `InputError` for input of another kind, when the articles are of more than one wiki, and when they are not as
    many as the manifest of `run_wikiextractor.py` says; warns when not one link has a Wikidata id, as with the ids of
    another wiki.
    """
    files = find_files(folder)
    # The first file is empty when the first article alone is larger than a file should be.
    first = next((document for path in files for document in read_documents(path)), None)
    if first is None:
        raise InputError(f"{folder}: its files hold no document; {MADE_BY} makes them from a dump with articles")
    language = first.language
    check_redirect_file(redirect_file, language)
    check_id_file(wikidata_id_file, language)
    articles, links = counts.count("articles"), counts.count("links")
    normalize = partial(normalize_title, language=language)
    redirects, ids = read_redirect_file(redirect_file, normalize), read_ids(wikidata_id_file, normalize, counts)
    preprocess = Preprocessor(redirects, ids, language)

    def batches() -> Iterator[pa.RecordBatch]:
        with progress("articles", total=sum(path.stat().st_size for path in files)) as bar:
            for path, (batch, counted) in map_in_order(preprocess, files, workers):
                counts.add(counted)
                bar.update(path.stat().st_size)
                yield batch
        _check_counts(folder, articles)

    yield from with_ids_counted(batches(), links, wikidata_id_file, language)


def _check_counts(folder: str | Path, articles: Tally) -> None:
    """Raise `InputError` when articles are missing or too many, and when none is left."""
    written = kept_by_step(folder, "run_wikiextractor")
    if written not in (None, articles.read):
        found = f"holds {articles.read:,} articles, run_wikiextractor.py wrote {written:,} (manifest.json)"
        raise InputError(f"{folder}: {found}; run it again")
    if not articles.kept:
        reasons = ", ".join(f"{count:,} have {reason}" for reason, count in articles.dropped.items())
        raise InputError(f"{folder}: no article is left ({reasons}); was WikiExtractor run with --links? {MADE_BY}")


class Preprocessor:
    """Turns one WikiExtractor file into a record batch and its counts."""

    def __init__(self, redirects: Mapping[str, str], wikidata_ids: Mapping[str, str], language: str) -> None:
        pages = Pages(redirects, wikidata_ids)

        def resolve(href: str) -> Page | None:
            title, _ = title_of_href(href, language)
            return None if title is None else pages.find(title)

        self._language = language
        self._resolve = lru_cache(maxsize=1 << 18)(resolve)

    def __call__(self, path: Path) -> tuple[pa.RecordBatch, Counts]:
        counts = Counts()
        articles, links = counts.count("articles"), counts.count("links")
        kept: list[Article] = []
        for document in read_documents(path):
            if document.language != self._language:
                raise InputError(
                    f"{path}: {document.title!r} is of the wiki {document.language!r}, the first file is of "
                    f"{self._language!r}; preprocess one wiki at a time"
                )
            linked = split_links(document.markup)
            if not linked.text:
                articles.drop(DropReason.NO_TEXT)
                continue
            pages = list(map(self._resolve, linked.hrefs))
            for href, page in zip(linked.hrefs, pages, strict=True) if None in pages else ():
                if page is None:
                    links.drop(title_of_href(href, self._language)[1])
            if pages.count(None) == len(pages):
                articles.drop(DropReason.NO_LINK)
                continue
            anchors = [link for link in zip(linked.starts, linked.ends, pages, strict=True) if link[2] is not None]
            links.kept += len(anchors)
            kept.append(Article(document.title.encode(), linked.text.encode(), anchors))
        articles.kept = len(kept)
        return record_batch(kept, self._language), counts
