"""The rows of a training dataset as numpy views of its Arrow memory: nothing is copied, nothing becomes Python ints
but the positions of one article."""

from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from datasets import Dataset


COLUMN_DEPTHS = {
    "input_ids": 1,
    "entity_start_positions": 1,
    "entity_end_positions": 1,
    "alternative_entity_input_ids": 2,
}
"""The columns read, and how deep each one's lists are nested."""


class EncodedArticle(NamedTuple):
    """One row. Positions are tokens of `input_ids`, end exclusive; `names[k]` are the token ids of entity k's name."""

    input_ids: np.ndarray
    start_positions: list[int]
    end_positions: list[int]
    names: list[np.ndarray]


class EncodedArticles:
    """The articles of a dataset with the columns of `leia.storage.training_schema`, by row, `len()` of them."""

    def __init__(self, dataset: "Dataset") -> None:
        batches = dataset.data.table.select(COLUMN_DEPTHS).to_batches()
        self._batches = [list(map(_views, batch.columns, COLUMN_DEPTHS.values())) for batch in batches]
        self._first_rows = list(accumulate((batch.num_rows for batch in batches), initial=0))
        # A dataset that was selected from or shuffled keeps its rows and adds this list of row numbers.
        self._rows = None if dataset._indices is None else dataset._indices.column(0).to_numpy()

    def __len__(self) -> int:
        return self._first_rows[-1] if self._rows is None else len(self._rows)

    def __getitem__(self, index: int) -> EncodedArticle:
        row = int(index if self._rows is None else self._rows[index])
        batch = bisect_right(self._first_rows, row) - 1
        row -= self._first_rows[batch]
        (ids_at, ids), (starts_at, starts), (ends_at, ends), (names_at, (name_at, name_ids)) = self._batches[batch]
        bounds = name_at[names_at[row] : names_at[row + 1] + 1].tolist()
        return EncodedArticle(
            ids[ids_at[row] : ids_at[row + 1]],
            starts[starts_at[row] : starts_at[row + 1]].tolist(),
            ends[ends_at[row] : ends_at[row + 1]].tolist(),
            [name_ids[bounds[k] : bounds[k + 1]] for k in range(len(bounds) - 1)],
        )

    def id_range(self) -> tuple[int, int]:
        """The least and the greatest token id of texts and names; of an empty dataset 0 and -1."""
        texts_and_names = (ids for (_, texts), _, _, (_, (_, names)) in self._batches for ids in (texts, names))
        ranges = [(int(ids.min()), int(ids.max())) for ids in texts_and_names if len(ids)] or [(0, -1)]
        return min(least for least, _ in ranges), max(greatest for _, greatest in ranges)

    def has_tokens(self) -> bool:
        """Whether any article holds a token."""
        return any(len(self[index].input_ids) for index in range(len(self)))


def _views(column: pa.Array, depth: int) -> tuple:
    """The offsets and the values of a list array; the values of lists in lists are again such a pair."""
    offsets, values = column.offsets.to_numpy(), column.values
    if depth == 2:
        lists_of_nothing = pa.types.is_null(values.type)
        return offsets, _views(values.cast(pa.list_(pa.int64())) if lists_of_nothing else values, depth=1)
    return offsets, np.empty(0, dtype=np.int64) if pa.types.is_null(values.type) else values.to_numpy()
