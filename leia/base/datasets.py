"""Datasets on disk in the format of `datasets` `save_to_disk`: their schemas, written from a stream of record batches,
opened with errors that name the step which makes the missing folder, read as numpy views.
"""

import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import accumulate, chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import xxhash

from leia.base.errors import InputError
from leia.base.outputs import NewFolder
from leia.base.step import CACHE_FILES
from leia.base.text import to_json

if TYPE_CHECKING:
    from datasets import Dataset

_ANCHOR = {"start": pa.int64(), "end": pa.int64(), "title": pa.string(), "wikidata_id": pa.string()}
_ARTICLE = {"title": pa.string(), "language": pa.string(), "text": pa.string()}

PREPROCESSED_SCHEMA = pa.schema({**_ARTICLE, "anchors": pa.list_(pa.struct(_ANCHOR))})
"""One row an article. An anchor's `start` and `end` are characters, end exclusive; its `wikidata_id` may be null, and
its `title` too where the text is from elsewhere than Wikipedia."""

NAMED_SCHEMA = pa.schema({**_ARTICLE, "anchors": pa.list_(pa.struct({**_ANCHOR, "name": pa.string()}))})
"""`PREPROCESSED_SCHEMA` of texts of which at least one anchor brings its name itself: `name`, null for the others."""


def training_schema(vocabulary_size: int, languages: int = 1, sentences: bool = False) -> pa.Schema:
    """One row an article; positions are tokens, end exclusive. Ids are as narrow as the vocabulary allows.

    With names in several `languages` an entity has a list of them, an empty one where a language has none. `sentences`:
    with the tokens at which sentences start.
    """
    id_type = pa.int16() if vocabulary_size <= 1 << 15 else pa.int32()
    name = pa.list_(id_type)
    columns = {
        "title": pa.string(),
        "input_ids": pa.list_(id_type),
        "entity_start_positions": pa.list_(pa.int32()),
        "entity_end_positions": pa.list_(pa.int32()),
        "alternative_entity_input_ids": pa.list_(name if languages == 1 else pa.list_(name)),
    }
    return pa.schema(columns | ({"sentence_start_positions": pa.list_(pa.int32())} if sentences else {}))


def integer_array(values: Sequence[int] | np.ndarray, kind: pa.DataType) -> pa.Array:
    """An Arrow array without nulls. (`pa.array` imports pandas, in every worker, which takes longer than a file.)"""
    numbers = np.ascontiguousarray(values, dtype=kind.to_pandas_dtype())
    return pa.Array.from_buffers(kind, len(numbers), [None, pa.py_buffer(numbers)])


def string_array(values: Sequence[bytes | None]) -> pa.Array:
    """An Arrow array of strings from their UTF-8 bytes, null for None."""
    encoded = [value or b"" for value in values]
    offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    present = [value is not None for value in values]
    validity = None if all(present) else pa.py_buffer(np.packbits(present, bitorder="little"))
    buffers = [validity, pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.string(), len(encoded), buffers)


_DATA_FILE = "data-00000-of-00001.arrow"


class NewDataset(NewFolder):
    """A folder for the dataset and manifest of a step, which `save_dataset` fills.

    Refused with an `InputError`: a folder that holds a dataset with other columns than those of `schema`, that of
    another step, perhaps the input of this one.
    """

    def __init__(self, path: str | Path, schema: pa.Schema) -> None:
        super().__init__(path, ("data-*.arrow", "dataset_info.json", "state.json", CACHE_FILES))
        self._schema = schema

    def open(self) -> AbstractContextManager[tuple[Path, Path]]:
        try:
            columns = json.loads((Path(self.path) / "dataset_info.json").read_text(encoding="utf-8"))["features"]
        except (OSError, ValueError, KeyError, TypeError):  # no dataset, or a damaged one
            columns = self._schema.names
        if "input_ids" in self._schema.names and {"title", "input_ids"} <= set(columns):
            columns = self._schema.names  # of this step, with or without sentences
        if set(columns) != set(self._schema.names):
            found = ", ".join(columns)
            raise InputError(f"{self.path}: holds the dataset of another step ({found}); name another folder")
        return super().open()


def save_dataset(folder: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
    """Stream `batches` into `folder` in the format of `save_to_disk`.

    The features are written as `datasets` 2 to 5 all read them (5 itself writes what 2 and 3 do not know), and the
    fingerprint is the hash of the rows, so that the same rows give the same files.
    """
    data = folder / _DATA_FILE
    with pa.OSFile(str(data), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    fingerprint = xxhash.xxh3_64()  # `datasets` takes its fingerprints from this family
    with pa.memory_map(str(data)) as written:
        while chunk := written.read_buffer(1 << 24):
            fingerprint.update(chunk)
    state = {
        "_data_files": [{"filename": data.name}],
        "_fingerprint": fingerprint.hexdigest(),
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": None,
    }
    info = {"features": {field.name: _feature(field.type) for field in schema}}
    (folder / "state.json").write_text(to_json(state), encoding="utf-8")
    (folder / "dataset_info.json").write_text(to_json(info), encoding="utf-8")


def save_articles(folder: Path, batches: Iterable[pa.RecordBatch]) -> None:
    """`save_dataset` of batches of `PREPROCESSED_SCHEMA`, which may go over to `NAMED_SCHEMA` at the first name: then
    all rows get that one, and the rows that were written before it are copied once."""
    batches = iter(batches)
    first_named: list[pa.RecordBatch] = []

    def without_names() -> Iterator[pa.RecordBatch]:
        for batch in batches:
            if batch.schema == NAMED_SCHEMA:
                first_named.append(batch)
                return
            yield batch

    save_dataset(folder, PREPROCESSED_SCHEMA, without_names())
    if first_named:
        before = (folder / _DATA_FILE).rename(folder / "before-names.arrow")
        with pa.memory_map(str(before)) as written:
            copied = map(_with_null_names, pa.ipc.open_stream(written))
            save_dataset(folder, NAMED_SCHEMA, chain(copied, first_named, batches))
        before.unlink()


def _with_null_names(batch: pa.RecordBatch) -> pa.RecordBatch:
    *columns, anchors = batch.columns
    fields = list(NAMED_SCHEMA.field("anchors").type.value_type)
    values = [*anchors.values.flatten(), pa.nulls(len(anchors.values), pa.string())]
    anchors = pa.ListArray.from_arrays(anchors.offsets, pa.StructArray.from_arrays(values, fields=fields))
    return pa.RecordBatch.from_arrays([*columns, anchors], schema=NAMED_SCHEMA)


def _feature(kind: pa.DataType) -> Any:
    if pa.types.is_list(kind):
        inner = _feature(kind.value_type)
        return [inner] if pa.types.is_struct(kind.value_type) else {"feature": inner, "_type": "Sequence"}
    if pa.types.is_struct(kind):
        return {field.name: _feature(field.type) for field in kind}
    return {"dtype": str(kind), "_type": "Value"}


def open_articles(path: str | Path) -> "Dataset":
    """The preprocessed articles in a dataset folder, with the columns of `PREPROCESSED_SCHEMA`; `InputError` when there
    is no dataset, an empty one or another step's."""
    return open_dataset(Path(path), PREPROCESSED_SCHEMA.names, "scripts/extract_articles.py")


def open_training_dataset(path: str | Path) -> "Dataset":
    """The encoded articles in a dataset folder, with the columns of `training_schema`; errors as in `open_articles`."""
    return open_dataset(Path(path), training_schema(0).names, "scripts/build_wikipedia_dataset.py")


def open_dataset(path: Path, columns: Sequence[str], made_by: str, of: str = "article") -> "Dataset":
    """The dataset in a folder, a row for each article, or what it is `of`, with these `columns` at least; errors as in
    `open_articles`, they name the script that it is `made_by`."""
    from datasets import load_from_disk  # takes a second

    empty = f"{path}: holds no {of}; {made_by} says what it dropped and why"
    if not (path / "state.json").is_file():
        raise InputError(f"{path}: expected a dataset folder, found no state.json in it; {made_by} makes one")
    try:
        dataset = load_from_disk(str(path))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, pa.ArrowInvalid) as error:
        raise InputError(f"{path}: cannot be opened as a dataset ({error}); make it again with {made_by}") from error
    except IndexError as error:  # `datasets` saves no rows as no file, and then misses it
        raise InputError(empty) from error
    missing = [name for name in columns if name not in getattr(dataset, "column_names", ())]
    if missing:
        raise InputError(f"{path}: lacks the columns {', '.join(missing)}; expected a dataset that {made_by} makes")
    if not len(dataset):
        raise InputError(empty)
    return dataset


COLUMN_DEPTHS = {
    "input_ids": 1,
    "entity_start_positions": 1,
    "entity_end_positions": 1,
    "alternative_entity_input_ids": 2,
    "sentence_start_positions": 1,
}
"""The columns read, and how deep each one's lists are nested; the last one is not in every dataset."""


class EncodedArticle(NamedTuple):
    """One row. Positions are tokens of `input_ids`, end exclusive; `names[k]` are the token ids of entity k's name, a
    memoryview of 64-bit numbers: these are cut out in half of an array's time."""

    input_ids: np.ndarray
    start_positions: list[int]
    end_positions: list[int]
    names: list[memoryview]


class EncodedArticles:
    """The articles of a dataset with the columns of `training_schema`, by row.

    `languages`: in how many the names are. Of several, `names` of an article has the names of its first entity, then
    those of the second and so on, in the order of the languages.
    """

    def __init__(self, dataset: "Dataset") -> None:
        table = dataset.data.table
        self.has_sentences = "sentence_start_positions" in table.column_names
        depths = {name: depth for name, depth in COLUMN_DEPTHS.items() if name in table.column_names}
        batches = table.select(depths).to_batches()
        self.languages = next(filter(None, (_languages(batch) for batch in batches)), 1)
        self._batches = [list(map(_views, batch.columns, depths.values())) for batch in batches]
        self._first_rows = list(accumulate((batch.num_rows for batch in batches), initial=0))
        # A dataset that was selected from or shuffled keeps its rows and adds this list of row numbers.
        self._rows = None if dataset._indices is None else dataset._indices.column(0).to_numpy()

    def __len__(self) -> int:
        return self._first_rows[-1] if self._rows is None else len(self._rows)

    def row_on_disk(self, index: int) -> int:
        """The row of an article in the dataset that this one is a selection of."""
        return int(index if self._rows is None else self._rows[index])

    def __getitem__(self, index: int) -> EncodedArticle:
        columns, row = self._place(index)
        (ids_at, ids), (starts_at, starts), (ends_at, ends), (names_at, (name_at, name_ids)) = columns[:4]
        bounds = name_at[names_at[row] : names_at[row + 1] + 1].tolist()
        first = bounds[0]
        names = memoryview(name_ids[first : bounds[-1]].astype(np.int64))
        return EncodedArticle(
            ids[ids_at[row] : ids_at[row + 1]],
            starts[starts_at[row] : starts_at[row + 1]].tolist(),
            ends[ends_at[row] : ends_at[row + 1]].tolist(),
            [names[start - first : end - first] for start, end in pairwise(bounds)],
        )

    def sentence_starts(self, index: int) -> np.ndarray | None:
        """The tokens at which the sentences of an article start; None of a dataset that does not say it."""
        if not self.has_sentences:
            return None
        columns, row = self._place(index)
        at, starts = columns[4]
        return starts[at[row] : at[row + 1]]

    def _place(self, index: int) -> tuple[list, int]:
        """The columns of the batch that holds an article, and its row there."""
        row = self.row_on_disk(index)
        batch = bisect_right(self._first_rows, row) - 1
        return self._batches[batch], row - self._first_rows[batch]

    def id_range(self) -> tuple[int, int]:
        """The least and the greatest token id of texts and names; of an empty dataset 0 and -1."""
        texts_and_names = (ids for (_, texts), _, _, (_, (_, names)), *_ in self._batches for ids in (texts, names))
        ranges = [(int(ids.min()), int(ids.max())) for ids in texts_and_names if len(ids)] or [(0, -1)]
        return min(least for least, _ in ranges), max(greatest for _, greatest in ranges)

    def has_tokens(self) -> bool:
        return any(len(self[index].input_ids) for index in range(len(self)))


def _languages(batch: pa.RecordBatch) -> int:
    """In how many languages the entities of a batch have names; 0 where it holds no entity."""
    of_entities = batch["alternative_entity_input_ids"].flatten()
    if not len(of_entities) or pa.types.is_null(of_entities.type):
        return 0
    return len(of_entities[0]) if pa.types.is_list(of_entities.type.value_type) else 1


def _views(column: pa.Array, depth: int) -> tuple:
    """The offsets and the values of a list array; the values of lists in lists are such a pair, too. Of names in
    several languages each entity's list is left out: an article has the names of all its entities in one."""
    offsets, values = column.offsets.to_numpy(), column.values
    if depth == 2:
        if pa.types.is_list(values.type) and pa.types.is_list(values.type.value_type):
            offsets, values = values.offsets.to_numpy()[offsets], values.values
        lists_of_nothing = pa.types.is_null(values.type)
        inner = _views(values.cast(pa.list_(pa.int64())) if lists_of_nothing else values, depth=1)
        return memoryview(offsets), inner
    return memoryview(offsets), np.empty(0, dtype=np.int64) if pa.types.is_null(values.type) else values.to_numpy()
