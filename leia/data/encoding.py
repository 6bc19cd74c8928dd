"""Articles to the training dataset: token ids, and for each entity its tokens and the ids of its name.

`encode_dataset` is what the build runs, `encode_articles` gives the same rows in memory, and `encode_text` does it for
one text with links of your own.
"""

import os
from collections.abc import Iterable, Iterator, Sequence, Sized
from copy import deepcopy
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from leia.base.cli import progress
from leia.base.datasets import EncodedArticle, integer_array, training_schema
from leia.base.errors import DropReason
from leia.base.pool import map_in_order
from leia.base.step import Counts, Tally
from leia.data.alignment import NO_TOKEN, Aligner, drop_reason
from leia.data.names import NameRule, PivotTitles, read_pivot_titles
from leia.data.tokenizers import count_ids

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

_ROWS_PER_BATCH = 128
_NAMES_PER_CHUNK = 10_000


def distinct_qids(dataset: "Dataset") -> set[str]:
    """The Wikidata ids that the anchors of a preprocessed dataset lead to."""
    qids: set[str] = set()
    for batch in dataset.with_format("arrow").iter(batch_size=10_000):
        anchors = batch["anchors"].combine_chunks().flatten()
        qids.update(pc.unique(anchors.field("wikidata_id")).drop_null().to_pylist())
    return qids


def encode_dataset(
    dataset: "Dataset",
    tokenizer: "PreTrainedTokenizerBase",
    titles: PivotTitles,
    max_length: int | None,
    workers: int,
    counts: Counts,
) -> Iterator[pa.RecordBatch]:
    """Yield batches of `training_schema`, an article a row, in the order of the preprocessed `dataset`.

    `max_length` cuts every article to that many tokens. `counts` gets the articles and the anchors.
    """
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the processes are the parallelism
    aligner = Aligner(tokenizer)
    names = tokenize_names(titles, aligner, workers)
    encoder = ArticleEncoder(dataset, aligner, names, count_ids(tokenizer), max_length)
    with progress("articles", total=len(dataset), unit=" articles") as bar:
        for rows, (batch, counted) in map_in_order(encoder, _ranges(len(dataset), _ROWS_PER_BATCH), workers):
            counts.count("articles").kept += len(rows)
            counts.count("anchors").add(counted)
            bar.update(len(rows))
            yield batch


def with_greatest_id(batches: Iterable[pa.RecordBatch], facts: dict[str, Any]) -> Iterator[pa.RecordBatch]:
    """Yield `batches`; `facts["greatest_id"]` is the greatest id of texts and names in those yielded, -1 of none."""
    facts["greatest_id"] = -1
    for batch in batches:
        texts, names = batch["input_ids"].flatten(), batch["alternative_entity_input_ids"].flatten().flatten()
        greatest = [pc.max(ids).as_py() for ids in (texts, names) if len(ids)]
        facts["greatest_id"] = max(facts["greatest_id"], *greatest, -1)
        yield batch


def encode_articles(
    articles: "Dataset",
    tokenizer: "PreTrainedTokenizerBase",
    wikidata_id_file: str | Path,
    max_length: int | None = None,
    counts: Counts | None = None,
) -> "Dataset":
    """Preprocessed articles as a training dataset in memory: the rows that build_wikipedia_dataset.py writes.

    `wikidata_id_file` is the English one. `max_length` cuts every article to that many tokens; `counts` gets what was
    kept and what was dropped for which reason. The tokenizer stays as it is.
    """
    from datasets import Dataset

    counts = Counts() if counts is None else counts
    titles = read_pivot_titles(wikidata_id_file, distinct_qids(articles), NameRule(), counts)
    batches = encode_dataset(articles, deepcopy(tokenizer), titles, max_length, 1, counts)
    return Dataset(pa.Table.from_batches(batches, training_schema(count_ids(tokenizer))))


class Link(NamedTuple):
    """A link of your own: it covers the characters `start` to `end` (end exclusive) and gives the name `name`."""

    start: int
    end: int
    name: str


def encode_text(
    text: str, links: Iterable[tuple[int, int, str]], tokenizer: "PreTrainedTokenizerBase"
) -> tuple[EncodedArticle, dict[Link, DropReason]]:
    """A text with its links as the build encodes an article, and the links that it drops, with the reason.

    Raises `ValueError` for a link that is empty, outside the text, without a name, or that overlaps another one.
    """
    links = sorted(Link(*link) for link in links)
    for link in links:
        if not (0 <= link.start < link.end <= len(text) and link.name):
            raise ValueError(f"{link}: expected a name, and a start and a later end within 0 to {len(text)} characters")
    for link, following in pairwise(links):
        if following.start < link.end:
            raise ValueError(f"{link} and {following} overlap; expected at most one link for each character")
    aligner = Aligner(deepcopy(tokenizer))
    (ids,) = aligner.tokenize([text])
    positions = np.array([link.start for link in links] + [link.end for link in links], dtype=np.int64)
    first, last = aligner.find_tokens(text, ids, positions).reshape(2, -1).tolist()
    reasons = [drop_reason(start, end, len(ids)) for start, end in zip(first, last, strict=True)]
    kept = [k for k, reason in enumerate(reasons) if reason is None]
    names = [
        memoryview(np.array(name, dtype=np.int64)) for name in aligner.tokenize_names([links[k].name for k in kept])
    ]
    encoded = EncodedArticle(np.array(ids, dtype=np.int64), [first[k] for k in kept], [last[k] for k in kept], names)
    dropped = {link: reason for link, reason in zip(links, reasons, strict=True) if reason is not None}
    return encoded, dropped


def _ranges(count: int, size: int) -> list[range]:
    return [range(start, min(start + size, count)) for start in range(0, count, size)]


@dataclass(frozen=True, slots=True)
class EncodedNames:
    """The distinct names: `by_qid[qid]` is the number of a name or the reason why there is none; the token ids of name
    k are `ids[bounds[k]:bounds[k + 1]]`. Two arrays, not a list of lists: processes share them without copying."""

    by_qid: dict[str, int | str]
    ids: np.ndarray
    bounds: np.ndarray


def tokenize_names(titles: PivotTitles, aligner: Aligner, workers: int) -> EncodedNames:
    """Tokenise each distinct name once."""
    number_of: dict[str, int] = {}
    by_qid: dict[str, int | str] = {}
    for qid in titles.by_qid:
        name, reason = titles.name_of(qid)
        by_qid[qid] = reason if name is None else number_of.setdefault(name, len(number_of))
    names = list(number_of)
    chunks = [names[rows.start : rows.stop] for rows in _ranges(len(names), _NAMES_PER_CHUNK)]
    encoded = [ids for _, part in map_in_order(aligner.tokenize_names, chunks, workers) for ids in part]
    return EncodedNames(by_qid, np.array(list(chain.from_iterable(encoded)), dtype=np.int32), _bounds(encoded))


def _bounds(lists: Sequence[Sized]) -> np.ndarray:
    """Where each list starts when all are put together, and where the last ends; [len(lists) + 1]."""
    return np.cumsum([0, *map(len, lists)], dtype=np.int64)


@dataclass(frozen=True, slots=True)
class EntitySpans:
    """The entities of one article, [entities] each: first token, end (exclusive), number of the name."""

    starts: np.ndarray
    ends: np.ndarray
    name_numbers: np.ndarray


class ArticleEncoder:
    """Turns a range of rows of the preprocessed dataset into a record batch and the tally of its anchors."""

    def __init__(
        self, dataset: "Dataset", aligner: Aligner, names: EncodedNames, vocabulary_size: int, max_length: int | None
    ) -> None:
        self._rows = dataset.with_format("arrow")
        self._aligner = aligner
        self._names = names
        self._schema = training_schema(vocabulary_size)
        self._max_length = max_length

    def __call__(self, rows: range) -> tuple[pa.RecordBatch, Tally]:
        tally = Tally("anchors")
        table = self._rows[rows.start : rows.stop].combine_chunks()
        texts = table["text"].to_pylist()
        encoded = self._aligner.tokenize(texts)
        anchors = table["anchors"].chunk(0)
        bounds = anchors.offsets.to_numpy()
        starts, ends = (anchors.values.field(name).to_numpy() for name in ("start", "end"))
        qids = anchors.values.field("wikidata_id").to_pylist()
        entities = []
        for row, (text, ids) in enumerate(zip(texts, encoded, strict=True)):
            span = slice(bounds[row], bounds[row + 1])
            kept, numbers = self._choose_names(qids[span], tally)
            tokens = self._aligner.find_tokens(text, ids, np.concatenate([starts[span][kept], ends[span][kept]]))
            found = EntitySpans(tokens[: len(kept)], tokens[len(kept) :], numbers)
            entities.append(self._cut_and_count(ids, found, tally))
        return self._record_batch(table["title"].chunk(0), encoded, entities), tally

    def _choose_names(self, qids: list[str | None], tally: Tally) -> tuple[np.ndarray, np.ndarray]:
        """Which of an article's anchors have a name, and the number of each one's name."""
        kept, numbers = [], []
        for k, qid in enumerate(qids):
            number = DropReason.NO_QID if qid is None else self._names.by_qid.get(qid, DropReason.NO_PIVOT_TITLE)
            if isinstance(number, str):
                tally.drop(number)
            else:
                kept.append(k)
                numbers.append(number)
        return np.array(kept, dtype=np.int64), np.array(numbers, dtype=np.int64)

    def _cut_and_count(self, ids: list[int], found: EntitySpans, tally: Tally) -> EntitySpans:
        """Cut `ids` to the maximum length; keep the entities that have both ends on tokens that are left."""
        end = len(ids)
        if self._max_length is not None and len(ids) > self._max_length:
            end = self._aligner.cut(ids, self._max_length)
        starts_well, ends_well, fits = found.starts != NO_TOKEN, found.ends != NO_TOKEN, found.ends <= end
        kept = starts_well & ends_well & fits
        tally.kept += int(kept.sum())
        tally.drop(DropReason.START_NOT_ON_BOUNDARY, int((~starts_well).sum()))
        tally.drop(DropReason.END_NOT_ON_BOUNDARY, int((starts_well & ~ends_well).sum()))
        tally.drop(DropReason.BEYOND_MAX_LENGTH, int((starts_well & ends_well & ~fits).sum()))
        return EntitySpans(found.starts[kept], found.ends[kept], found.name_numbers[kept])

    def _record_batch(self, titles: pa.Array, encoded: list[list[int]], entities: list[EntitySpans]) -> pa.RecordBatch:
        id_type = self._schema.field("input_ids").type.value_type
        numbers = np.concatenate([spans.name_numbers for spans in entities])
        lengths = np.diff(self._names.bounds)[numbers]
        name_bounds = np.cumsum([0, *lengths], dtype=np.int64)
        # Position by position: where its name starts, plus how far it lies after the start of its copy.
        gathered = np.repeat(self._names.bounds[numbers] - name_bounds[:-1], lengths) + np.arange(name_bounds[-1])
        ids = np.fromiter(chain.from_iterable(encoded), dtype=id_type.to_pandas_dtype())
        entity_bounds = _bounds([spans.starts for spans in entities])
        columns = [
            titles,
            _lists(_bounds(encoded), integer_array(ids, id_type)),
            _lists(entity_bounds, integer_array(np.concatenate([spans.starts for spans in entities]), pa.int32())),
            _lists(entity_bounds, integer_array(np.concatenate([spans.ends for spans in entities]), pa.int32())),
            _lists(entity_bounds, _lists(name_bounds, integer_array(self._names.ids[gathered], id_type))),
        ]
        return pa.RecordBatch.from_arrays(columns, schema=self._schema)


def _lists(bounds: np.ndarray, values: pa.Array) -> pa.ListArray:
    return pa.ListArray.from_arrays(integer_array(bounds, pa.int32()), values)
