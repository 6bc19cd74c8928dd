"""A dataset as Parquet files of bounded size, `data/train-00000-of-00003.parquet` and so on, as the hub reads them.

Rows go from the Arrow files on disk to the Parquet files a few at a time: the memory that this takes does not depend on
the size of the dataset.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from leia.base.cli import progress

if TYPE_CHECKING:
    from datasets import Dataset

DATA_FOLDER = "data"
_ROWS_AT_ONCE = 1_000  # a row group of the file: what a reader must take at once


def export_parquet(dataset: "Dataset", folder: Path, shard_bytes: int, rows_at_once: int = _ROWS_AT_ONCE) -> list[Path]:
    """Write all rows into `folder/data`, in their order; returns the files.

    The rows of a file have at most `shard_bytes` bytes, unless `rows_at_once` rows alone have more.
    """
    target = folder / DATA_FOLDER
    target.mkdir()
    # Without the features that `datasets` writes there: each version has its own form of them, and reads Arrow's types.
    schema = dataset.features.arrow_schema.remove_metadata()
    parts: list[Path] = []
    written, writer = 0, None
    with ExitStack() as stack:
        for table in _tables(dataset, rows_at_once):
            # Compressed it is smaller; how much so is not known before.
            if writer is None or written + table.nbytes > shard_bytes:
                stack.close()
                parts.append(target / f"part-{len(parts):05d}")
                sink = stack.enter_context(pa.OSFile(str(parts[-1]), "wb"))
                writer = stack.enter_context(pq.ParquetWriter(sink, schema, compression="zstd"))
            writer.write_table(table.cast(schema))
            written = sink.tell()
    names = [target / f"train-{k:05d}-of-{len(parts):05d}.parquet" for k in range(len(parts))]
    return [part.rename(name) for part, name in zip(parts, names, strict=True)]


def _tables(dataset: "Dataset", rows_at_once: int) -> Iterator[pa.Table]:
    with progress("Parquet", total=len(dataset), unit=" rows") as bar:
        for table in dataset.with_format("arrow").iter(batch_size=rows_at_once):
            yield table
            bar.update(len(table))
