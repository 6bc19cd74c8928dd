"""Articles to the training dataset: token ids, and for each entity its tokens and the ids of its name.

`encode_dataset` is what the build runs, `encode_articles` gives the same rows in memory, and `encode_text` does it for
one text with links of your own.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from leia.base.cli import progress
from leia.base.datasets import EncodedArticle, training_schema
from leia.base.errors import DropReason
from leia.base.pool import map_in_order
from leia.base.step import Counts
from leia.data.alignment import Aligner, drop_reason
from leia.data.article_encoder import ArticleEncoder
from leia.data.encoded_names import encode_names
from leia.data.names import EntityNames, NameRule, names_of_titles, own_name_key, read_pivot_titles
from leia.data.tokenizers import count_ids
from leia.data.units import ANY_OR_ALL, UNITS

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

_ROWS_PER_BATCH = 128


def distinct_qids(dataset: "Dataset") -> set[str]:
    """The Wikidata ids that the anchors of a preprocessed dataset lead to."""
    qids: set[str] = set()
    for anchors in _anchors(dataset):
        qids.update(pc.unique(anchors.field("wikidata_id")).drop_null().to_pylist())
    return qids


def names_of_anchors(dataset: "Dataset") -> dict[str, str]:
    """The names that anchors themselves have (of import_articles.py), by the keys of `entity_keys`."""
    names: set[str] = set()
    for anchors in _anchors(dataset):
        if anchors.type.get_field_index("name") >= 0:
            names.update(pc.unique(anchors.field("name")).drop_null().to_pylist())
    return {own_name_key(name): name for name in names}


def _anchors(dataset: "Dataset") -> Iterator[pa.StructArray]:
    for batch in dataset.with_format("arrow").iter(batch_size=10_000):
        yield batch["anchors"].combine_chunks().flatten()


def encode_dataset(
    dataset: "Dataset",
    tokenizer: "PreTrainedTokenizerBase",
    names: Mapping[str, EntityNames],
    max_length: int | None,
    workers: int,
    counts: Counts,
    in_text: bool = False,
    sentences: bool = False,
    facts: dict[str, Any] | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yield batches of `training_schema`, an article a row, in the order of the preprocessed `dataset`.

    `names`: those of the entities, by language. `max_length` cuts every article to that many tokens. `in_text`: each
    name has a space before it or not as the text has it before the entity. `sentences`: with the tokens at which
    sentences start. `counts` gets the articles and the anchors, `facts["switchable_units"]` of names in several
    languages how many articles, sentences and entities could be switched into each.
    """
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the processes are the parallelism
    aligner, languages = Aligner(tokenizer), list(names)
    encoded = encode_names(list(names.values()), tokenizer, aligner, in_text, workers)
    schema = training_schema(count_ids(tokenizer), len(languages), sentences)
    encoder = ArticleEncoder(dataset, aligner, encoded, languages, schema, max_length)
    switchable: int | np.ndarray = 0
    with progress("articles", total=len(dataset), unit=" articles") as bar:
        for rows, made in map_in_order(encoder, _ranges(len(dataset), _ROWS_PER_BATCH), workers):
            counts.count("articles").kept += len(rows)
            counts.count("anchors")
            counts.add(made.counts)
            switchable = switchable + made.switchable
            bar.update(len(rows))
            yield made.batch
    if facts is not None and len(languages) > 1 and not isinstance(switchable, int):
        facts["switchable_units"] = {
            unit: {
                how: dict(zip(languages, counted, strict=True))
                for how, counted in zip(ANY_OR_ALL, of_unit, strict=True)
            }
            for unit, of_unit in zip(UNITS, switchable.tolist(), strict=True)
            if unit != "sentence" or sentences
        }


def with_greatest_id(batches: Iterable[pa.RecordBatch], facts: dict[str, Any]) -> Iterator[pa.RecordBatch]:
    """Yield `batches`; `facts["greatest_id"]` is the greatest id of texts and names in those yielded, -1 of none."""
    facts["greatest_id"] = -1
    for batch in batches:
        texts, names = batch["input_ids"].flatten(), batch["alternative_entity_input_ids"]
        while pa.types.is_list(names.type):
            names = names.flatten()
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
    names = {"en": {**names_of_titles(titles), **names_of_anchors(articles)}}
    batches = encode_dataset(articles, deepcopy(tokenizer), names, max_length, 1, counts)
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
