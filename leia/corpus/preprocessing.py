"""From WikiExtractor's files to preprocessed articles: plain text, and anchors with the Wikidata ids of their pages."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import compress
from pathlib import Path

import click
import pyarrow as pa

from leia.base.cli import progress
from leia.base.datasets import PREPROCESSED_SCHEMA, integer_array, string_array
from leia.base.errors import DropReason, InputError
from leia.base.pool import map_in_order
from leia.base.step import Counts, kept_by_step
from leia.corpus.id_files import check_id_file, check_redirect_file, read_ids
from leia.corpus.redirects import read_redirect_file
from leia.corpus.titles import title_of_href
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
    redirects, ids = read_redirect_file(redirect_file, language), read_ids(wikidata_id_file, language, counts)
    preprocess = Preprocessor(redirects, ids, language)
    with_qid = 0
    with progress("articles", total=sum(path.stat().st_size for path in files)) as bar:
        for path, (batch, counted) in map_in_order(preprocess, files, workers):
            counts.add(counted)
            qids = batch.column("anchors").flatten().field("wikidata_id")
            with_qid += len(qids) - qids.null_count
            bar.update(path.stat().st_size)
            yield batch
    written = kept_by_step(folder, "run_wikiextractor")
    if written not in (None, articles.read):
        raise InputError(
            f"{folder}: holds {articles.read:,} articles, run_wikiextractor.py wrote {written:,} (manifest.json); "
            "run it again"
        )
    if not articles.kept:
        reasons = ", ".join(f"{count:,} have {reason}" for reason, count in articles.dropped.items())
        raise InputError(f"{folder}: no article is left ({reasons}); was WikiExtractor run with --links? {MADE_BY}")
    links.note = f"{with_qid:,} of them ({with_qid / links.kept:.1%}) with a Wikidata id"
    if not with_qid:
        click.echo(f"warning: no link has a Wikidata id; is {wikidata_id_file} of the wiki {language!r}?", err=True)


class Preprocessor:
    """Turns one WikiExtractor file into a record batch and its tallies."""

    def __init__(self, redirects: Mapping[str, str], wikidata_ids: Mapping[str, str], language: str) -> None:
        def resolve(href: str) -> tuple[bytes, bytes | None] | None:
            """Title and QID, if it has one, of the page that `href` leads to; None where it leads to none.

            In UTF-8: a page is linked often and encoded here once.
            """
            title, _ = title_of_href(href, language)
            if title is None:
                return None
            title = redirects.get(title, title)
            qid = wikidata_ids.get(title)
            return title.encode(), None if qid is None else qid.encode()

        self.language = language
        self.resolve = lru_cache(maxsize=1 << 18)(resolve)

    def __call__(self, path: Path) -> tuple[pa.RecordBatch, Counts]:
        counts = Counts()
        articles, links = counts.count("articles"), counts.count("links")
        titles, texts, anchor_ends = [], [], [0]
        starts, ends, pages = [], [], []
        for document in read_documents(path):
            if document.language != self.language:
                raise InputError(
                    f"{path}: {document.title!r} is of the wiki {document.language!r}, the first file is of "
                    f"{self.language!r}; preprocess one wiki at a time"
                )
            linked = split_links(document.markup)
            if not linked.text:
                articles.drop(DropReason.NO_TEXT)
                continue
            linked_pages = list(map(self.resolve, linked.hrefs))
            if None in linked_pages:
                links.dropped.update(
                    title_of_href(href, self.language)[1]
                    for href, page in zip(linked.hrefs, linked_pages, strict=True)
                    if page is None
                )
                kept = [page is not None for page in linked_pages]
                starts += compress(linked.starts, kept)
                ends += compress(linked.ends, kept)
                pages += compress(linked_pages, kept)
            else:
                starts += linked.starts
                ends += linked.ends
                pages += linked_pages
            if len(pages) == anchor_ends[-1]:
                articles.drop(DropReason.NO_LINK)
                continue
            titles.append(document.title.encode())
            texts.append(linked.text.encode())
            anchor_ends.append(len(pages))
        articles.kept, links.kept = len(titles), len(pages)
        spans = pa.StructArray.from_arrays(
            [
                integer_array(starts, pa.int64()),
                integer_array(ends, pa.int64()),
                string_array([title for title, _ in pages]),
                string_array([qid for _, qid in pages]),
            ],
            fields=list(PREPROCESSED_SCHEMA.field("anchors").type.value_type),
        )
        columns = [
            string_array(titles),
            string_array([self.language.encode()] * len(titles)),
            string_array(texts),
            pa.ListArray.from_arrays(integer_array(anchor_ends, pa.int32()), spans),
        ]
        return pa.RecordBatch.from_arrays(columns, schema=PREPROCESSED_SCHEMA), counts
