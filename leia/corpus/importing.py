"""From texts of any kind, with marked spans or without, to preprocessed articles."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

import click
import pyarrow as pa

from leia.base.errors import UsageError
from leia.base.step import Step
from leia.corpus.articles import Article, Page, Pages, record_batch
from leia.corpus.extraction import own_title
from leia.corpus.id_files import check_id_file, check_redirect_file, read_ids
from leia.corpus.languages import namespace_names
from leia.corpus.redirects import read_redirect_file
from leia.corpus.siteinfo import Wiki
from leia.corpus.spans import Span, read_spans
from leia.corpus.texts import TextSource, read_texts
from leia.corpus.titles import check_language, site_of_language

_ARTICLES_PER_BATCH, _BYTES_PER_BATCH = 200, 1 << 26
_LARGE_LOSS = 0.01


def import_articles(
    source: TextSource,
    language: str,
    step: Step,
    redirect_file: str | Path | None = None,
    wikidata_id_file: str | Path | None = None,
    spans_column: str = "spans",
    drop_bad_spans: bool = False,
) -> Iterator[pa.RecordBatch]:
    """Yield the texts of `source` in batches of `PREPROCESSED_SCHEMA`; of `NAMED_SCHEMA` from the first name on.

    An article without a title gets its file and line for one. `step` counts articles and spans. Raises `InputError` for
    a text or a span that is none; with `drop_bad_spans` such a span is left out and counted. Raises `UsageError` for
    the title of a page where there is no `wikidata_id_file`. Warns when not one title has a Wikidata id.
    """
    finder = PageFinder(check_language(language), redirect_file, wikidata_id_file, step)
    step.count("articles")  # printed first
    spans = step.count("spans")
    spans.alarm = _LARGE_LOSS
    kept: list[Article] = []
    with_id, with_name, size = 0, 0, 0
    for text in read_texts(source, step, spans_column):
        anchors, names = [], []
        for span in read_spans(text, spans_column, spans, drop_bad_spans):
            page = finder.find(span, text.place)
            anchors.append((span.start, span.end, page))
            names.append(None if span.name is None else span.name.encode())
            with_id += page[1] is not None
            with_name += span.name is not None
        title = Path(text.place).name if text.title is None else text.title
        kept.append(Article(title.encode(), text.text.encode(), anchors, names))
        size += len(kept[-1].text)
        if len(kept) == _ARTICLES_PER_BATCH or size >= _BYTES_PER_BATCH:
            yield record_batch(kept, language, with_name > 0)
            kept, size = [], 0
    if kept:
        yield record_batch(kept, language, with_name > 0)
    spans.note = f"{with_id:,} with a Wikidata id, {with_name:,} with a name"
    finder.warn()


class PageFinder:
    """The page that a span names, by the redirects and the ids of the language's Wikipedia."""

    def __init__(
        self, language: str, redirect_file: str | Path | None, wikidata_id_file: str | Path | None, step: Step
    ) -> None:
        wiki = Wiki(site_of_language(language), language, namespaces=namespace_names(language))
        self._id_file, self._language = wikidata_id_file, language
        self._asked = self._found = 0
        redirects: Mapping[str, str] = {}
        ids: Mapping[str, str] = {}
        if redirect_file is not None:
            check_redirect_file(redirect_file, language)
            redirects = read_redirect_file(redirect_file, lambda title: own_title(title, wiki))
        if wikidata_id_file is not None:
            check_id_file(wikidata_id_file, language)
            ids = read_ids(wikidata_id_file, lambda title: own_title(title, wiki), step)
        pages = Pages(redirects, ids)
        self._look_up = lru_cache(maxsize=1 << 18)(lambda title: pages.find(own_title(title, wiki)))

    def find(self, span: Span, place: str) -> Page:
        if span.title is None or span.qid is not None:
            title, qid = (None if value is None else value.encode() for value in (span.title, span.qid))
            return title, qid
        if self._id_file is None:
            files = f"--wikidata_id_file (and --redirect_file) of {self._language!r}"
            raise UsageError(f"{place}: a span names the page {span.title!r}; name {files}, which give its Wikidata id")
        page = self._look_up(span.title)
        self._asked += 1
        self._found += page[1] is not None
        return page

    def warn(self) -> None:
        """Say so when titles were looked up and not one has an id."""
        if self._asked and not self._found:
            question = f"is {self._id_file} of the wiki {self._language!r}?"
            click.echo(f"warning: no title of a span has a Wikidata id; {question}", err=True)
