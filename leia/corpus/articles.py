"""Preprocessed articles on their way to the dataset: plain text, and anchors that know the pages they lead to."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
import pyarrow as pa

from leia.base.datasets import NAMED_SCHEMA, PREPROCESSED_SCHEMA, integer_array, string_array
from leia.base.step import Tally

Page = tuple[bytes | None, bytes | None]
"""Title and QID of the page that a link leads to, where there are such, in UTF-8: a page is linked often, and so
encoded once."""


class Pages:
    """The pages of a wiki: its redirects (`{title: last target}`) and its Wikidata ids (`{title: QID}`)."""

    def __init__(self, redirects: Mapping[str, str], wikidata_ids: Mapping[str, str]) -> None:
        self._redirects, self._wikidata_ids = redirects, wikidata_ids

    def find(self, title: str) -> Page:
        """The page that a link to `title` ends at."""
        title = self._redirects.get(title, title)
        qid = self._wikidata_ids.get(title)
        return title.encode(), None if qid is None else qid.encode()


def with_ids_counted(
    batches: Iterable[pa.RecordBatch], links: Tally, wikidata_id_file: str | Path, language: str
) -> Iterator[pa.RecordBatch]:
    """Yield `batches`; then say in the note of `links` how many anchors have a Wikidata id, and warn where none has."""
    with_id = 0
    for batch in batches:
        ids = batch.column("anchors").flatten().field("wikidata_id")
        with_id += len(ids) - ids.null_count
        yield batch
    links.note = f"{with_id:,} of them ({with_id / links.kept:.1%}) with a Wikidata id"
    if not with_id:
        click.echo(f"warning: no link has a Wikidata id; is {wikidata_id_file} of the wiki {language!r}?", err=True)


class Article(NamedTuple):
    """Title and text in UTF-8; of each anchor its start, its end and its page. `names` are those that the anchors bring
    themselves, None of the others; empty where no anchor does."""

    title: bytes
    text: bytes
    anchors: list[tuple[int, int, Page]]
    names: Sequence[bytes | None] = ()


def record_batch(articles: Sequence[Article], language: str, named: bool = False) -> pa.RecordBatch:
    """The articles in `PREPROCESSED_SCHEMA`, or with their names in `NAMED_SCHEMA`."""
    schema = NAMED_SCHEMA if named else PREPROCESSED_SCHEMA
    anchors = list(chain.from_iterable(article.anchors for article in articles))
    anchor_columns = [
        integer_array([start for start, _, _ in anchors], pa.int64()),
        integer_array([end for _, end, _ in anchors], pa.int64()),
        string_array([title for _, _, (title, _) in anchors]),
        string_array([qid for _, _, (_, qid) in anchors]),
    ]
    if named:
        names = (article.names or [None] * len(article.anchors) for article in articles)
        anchor_columns.append(string_array(list(chain.from_iterable(names))))
    fields = list(schema.field("anchors").type.value_type)
    anchor_bounds = np.cumsum([0, *(len(article.anchors) for article in articles)])
    columns = [
        string_array([article.title for article in articles]),
        string_array([language.encode()] * len(articles)),
        string_array([article.text for article in articles]),
        pa.ListArray.from_arrays(
            integer_array(anchor_bounds, pa.int32()), pa.StructArray.from_arrays(anchor_columns, fields=fields)
        ),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)
