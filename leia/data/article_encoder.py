"""Rows of preprocessed articles to rows of the training dataset: token ids, entities, the ids of their names."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from leia.base.datasets import integer_array
from leia.base.errors import DropReason
from leia.base.step import Counts
from leia.corpus.sentences import sentence_starts
from leia.data.alignment import NO_TOKEN, Aligner
from leia.data.encoded_names import EncodedNames, bounds_of
from leia.data.names import own_name_key
from leia.data.units import ANY_OR_ALL, UNITS, count_switchable

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True, slots=True)
class EntitySpans:
    """The entities of one article: first token and end (exclusive), [entities]; the number of each one's name in each
    language, [entities, languages]."""

    starts: np.ndarray
    ends: np.ndarray
    names: np.ndarray


@dataclass
class EncodedRows:
    """What is made of a range of rows. `switchable`: units that could be switched into each language, of names in
    several, [kinds of units, any or all entities named, languages]."""

    batch: pa.RecordBatch
    counts: Counts
    switchable: np.ndarray


@dataclass
class _Columns:
    """The articles of a batch so far, a list entry each."""

    ids: list[list[int]] = field(default_factory=list)
    entities: list[EntitySpans] = field(default_factory=list)
    sentences: list[np.ndarray] = field(default_factory=list)


class ArticleEncoder:
    """Turns a range of rows of the preprocessed dataset into a record batch of `schema`, and counts its anchors.

    `languages`: those of the names. `sentences`: whether the schema has the tokens at which sentences start.
    """

    def __init__(
        self,
        dataset: "Dataset",
        aligner: Aligner,
        names: EncodedNames,
        languages: Sequence[str],
        schema: pa.Schema,
        max_length: int | None,
    ) -> None:
        self._rows = dataset.with_format("arrow")
        self._aligner = aligner
        self._names = names
        self._languages = languages
        self._schema = schema
        self._max_length = max_length
        self._finds_sentences = "sentence_start_positions" in schema.names

    def __call__(self, rows: range) -> EncodedRows:
        counts, columns = Counts(), _Columns()
        switchable = np.zeros((len(UNITS), len(ANY_OR_ALL), len(self._languages)), dtype=np.int64)
        table = self._rows[rows.start : rows.stop].combine_chunks()
        texts, codes = table["text"].to_pylist(), table["language"].to_pylist()
        columns.ids = self._aligner.tokenize(texts)
        anchors = table["anchors"].chunk(0)
        bounds = anchors.offsets.to_numpy()
        starts, ends = (anchors.values.field(name).to_numpy() for name in ("start", "end"))
        keys = entity_keys(anchors.values).to_pylist()
        for row, (text, ids) in enumerate(zip(texts, columns.ids, strict=True)):
            span = slice(bounds[row], bounds[row + 1])
            kept, names = self._choose_names(keys[span], counts)
            places = np.concatenate([starts[span][kept], ends[span][kept]])
            found = EntitySpans(*np.split(self._aligner.find_tokens(text, ids, places), 2), names)
            length = self._cut(ids)
            entities = self._keep_aligned(text, found, starts[span][kept], ids, length, counts)
            columns.entities.append(entities)
            sentences = np.zeros(1, dtype=np.int64)
            if self._finds_sentences:
                sentences = self._sentences(text, codes[row], ids, length, counts)
                columns.sentences.append(sentences)
            if len(self._languages) > 1:
                switchable += count_switchable(entities.names != self._names.nothing, entities.starts, sentences)
        return EncodedRows(self._record_batch(table["title"].chunk(0), columns), counts, switchable)

    def _choose_names(self, keys: list[str | None], counts: Counts) -> tuple[np.ndarray, np.ndarray]:
        """Which of an article's anchors are entities, and the number of each one's name in each language.

        In one language those are entities that have a name. In several, all that have an id: one without a name keeps
        its text from being switched where all are to be named.
        """
        kept, numbers, tally = [], [], counts.count("anchors")
        by = self._names.by_language
        for k, key in enumerate(keys):
            found = [DropReason.NO_QID if key is None else of.get(key, DropReason.NO_PIVOT_TITLE) for of in by]
            if key is None or (len(found) == 1 and isinstance(found[0], str)):
                tally.drop(found[0])
                continue
            if len(found) > 1:
                for language, number in zip(self._languages, found, strict=True):
                    of_language = counts.count(f"anchors with an id, names in {language}")
                    if isinstance(number, str):
                        of_language.drop(number)
                    else:
                        of_language.kept += 1
            kept.append(k)
            numbers.append([self._names.nothing if isinstance(number, str) else number for number in found])
        names = np.array(numbers, dtype=np.int64).reshape(len(kept), len(self._languages))
        return np.array(kept, dtype=np.int64), names

    def _cut(self, ids: list[int]) -> int:
        """Cut `ids` to the maximum length; return where its tokens of text end."""
        if self._max_length is not None and len(ids) > self._max_length:
            return self._aligner.cut(ids, self._max_length)
        return len(ids)

    def _keep_aligned(
        self, text: str, found: EntitySpans, characters: np.ndarray, ids: list[int], end: int, counts: Counts
    ) -> EntitySpans:
        """The entities that have both ends on tokens that are left; `characters`: where each starts in the text."""
        starts_well, ends_well, fits = found.starts != NO_TOKEN, found.ends != NO_TOKEN, found.ends <= end
        kept, tally = starts_well & ends_well & fits, counts.count("anchors")
        named = (found.names[kept] != self._names.nothing).any(axis=1)
        tally.kept += int(named.sum())
        tally.drop(DropReason.NO_PIVOT_TITLE, int((~named).sum()))
        tally.drop(DropReason.START_NOT_ON_BOUNDARY, int((~starts_well).sum()))
        tally.drop(DropReason.END_NOT_ON_BOUNDARY, int((starts_well & ~ends_well).sum()))
        tally.drop(DropReason.BEYOND_MAX_LENGTH, int((starts_well & ends_well & ~fits).sum()))
        names = found.names[kept]
        if self._names.spaces is not None and len(names):
            begins = self._names.spaces.begin_word[np.array(ids)[found.starts[kept]]]
            own_space = np.array([text[start] == " " for start in characters[kept].tolist()])
            names = np.where((begins & ~own_space)[:, None] & (names != self._names.nothing), names + 1, names)
        return EntitySpans(found.starts[kept], found.ends[kept], names)

    def _sentences(self, text: str, language: str, ids: list[int], end: int, counts: Counts) -> np.ndarray:
        """The tokens at which sentences start. One that starts within a token goes on with the sentence before it."""
        tokens = self._aligner.find_tokens(text, ids, sentence_starts(text, language))
        tally = counts.count("sentences")
        on_token, fits = tokens != NO_TOKEN, tokens < end
        tally.kept += int((on_token & fits).sum())
        tally.drop(DropReason.START_NOT_ON_BOUNDARY, int((~on_token).sum()))
        tally.drop(DropReason.BEYOND_MAX_LENGTH, int((on_token & ~fits).sum()))
        return np.unique(tokens[on_token & fits])

    def _record_batch(self, titles: pa.Array, made: _Columns) -> pa.RecordBatch:
        id_type = self._schema.field("input_ids").type.value_type
        numbers = np.concatenate([spans.names for spans in made.entities])
        lengths = np.diff(self._names.bounds)[numbers.ravel()]
        name_bounds = np.cumsum([0, *lengths], dtype=np.int64)
        # Position by position: where its name starts, plus how far it lies after the start of its copy.
        gathered = np.repeat(self._names.bounds[numbers.ravel()] - name_bounds[:-1], lengths)
        names = _lists(name_bounds, integer_array(self._names.ids[gathered + np.arange(name_bounds[-1])], id_type))
        if len(self._languages) > 1:
            names = _lists(np.arange(len(numbers) + 1) * len(self._languages), names)
        ids = np.fromiter(chain.from_iterable(made.ids), dtype=id_type.to_pandas_dtype())
        bounds = bounds_of([spans.starts for spans in made.entities])
        columns = [
            titles,
            _lists(bounds_of(made.ids), integer_array(ids, id_type)),
            _lists(bounds, integer_array(np.concatenate([spans.starts for spans in made.entities]), pa.int32())),
            _lists(bounds, integer_array(np.concatenate([spans.ends for spans in made.entities]), pa.int32())),
            _lists(bounds, names),
        ]
        if self._finds_sentences:
            starts = integer_array(np.concatenate(made.sentences), pa.int32())
            columns.append(_lists(bounds_of(made.sentences), starts))
        return pa.RecordBatch.from_arrays(columns, schema=self._schema)


def entity_keys(anchors: pa.StructArray) -> pa.StringArray:
    """What an anchor's name is found by (`EntityNames`)."""
    ids = anchors.field("wikidata_id")
    if anchors.type.get_field_index("name") < 0:
        return ids
    own = pc.binary_join_element_wise(own_name_key(""), anchors.field("name"), "")  # null where there is no name
    return pc.coalesce(own, ids)


def _lists(bounds: np.ndarray, values: pa.Array) -> pa.ListArray:
    return pa.ListArray.from_arrays(integer_array(bounds, pa.int32()), values)
