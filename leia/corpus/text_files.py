"""The rows of a file of texts: JSON lines, JSON lines in gzip or zstd, or Parquet, told by the first bytes.

Nothing is held but some rows; of Parquet a row group.
"""

import codecs
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from leia.base.errors import InputError
from leia.base.text import one_line

Row = tuple[str, dict[str, Any]]
"""Where it was read, file and line, for errors; `{column: value}`."""

_PARQUET = b"PAR1"
_COMPRESSIONS = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_EXPECTED = "a JSON object with a text on each line, or a Parquet file"
_ROWS_AT_ONCE = 256


def read_file(path: Path, wanted: Sequence[str], bar: tqdm) -> Iterator[Row]:
    """The rows of a file with those of the columns `wanted` that it has; the first must be there. `bar` shows bytes.

    Raises `InputError` for a file of another kind, one that breaks off, and a row without the first column.
    """
    with path.open("rb") as file:
        start = file.read(4)
        file.seek(0)
        if start == _PARQUET:
            yield from _read_parquet(path, file, wanted, bar)
        else:
            compression = next((kind for magic, kind in _COMPRESSIONS.items() if start.startswith(magic)), None)
            yield from _read_json_lines(path, file, compression, wanted, bar)


def _read_json_lines(
    path: Path, file: IO[bytes], compression: str | None, wanted: Sequence[str], bar: tqdm
) -> Iterator[Row]:
    decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])  # what nobody wants is not read
    lines = io.BufferedReader(pa.CompressedInputStream(file, compression), 1 << 20) if compression else file
    number, done = 0, 0
    try:
        for number, line in enumerate(lines, 1):
            if number % _ROWS_AT_ONCE == 0:
                bar.update(file.tell() - done)
                done = file.tell()
            if number == 1:
                line = line.removeprefix(codecs.BOM_UTF8)
            if line.isspace():
                continue
            place = f"{path}:{number}"
            try:
                row = decoder.decode(line)
                found = {name: msgspec.json.decode(row[name]) for name in present(list(row), wanted, place)}
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                message = f"{place}: expected {_EXPECTED}, found {line[:60]!r} ({error}); correct it"
                raise InputError(message) from error
            yield place, found
    except OSError as error:
        if not compression or error.errno is not None:
            raise
        message = f"{path}: breaks off or is corrupt after line {number:,} ({error}); make or download it again"
        raise InputError(message) from error
    bar.update(path.stat().st_size - done)


def _read_parquet(path: Path, file: IO[bytes], wanted: Sequence[str], bar: tqdm) -> Iterator[Row]:
    number = 0
    try:
        parquet = pq.ParquetFile(file)
        size = path.stat().st_size / max(parquet.metadata.num_rows, 1)
        columns = present(parquet.schema_arrow.names, wanted, str(path))
        for batch in parquet.iter_batches(_ROWS_AT_ONCE, columns=columns):
            for row in batch.to_pylist():
                number += 1
                yield f"{path}: row {number}", row
            bar.update(size * batch.num_rows)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        found = one_line(str(error))
        message = f"{path}: is no whole Parquet file after row {number:,} ({found}); make or download it again"
        raise InputError(message) from error


def present(columns: Sequence[str], wanted: Sequence[str], place: str) -> list[str]:
    """Those of `wanted` that are there. Raises `InputError` where the first, the text, is not."""
    if wanted[0] not in columns:
        found = ", ".join(columns[:20]) or "none"
        raise InputError(f"{place}: expected a column {wanted[0]!r}, found {found}; name the text's with --text_column")
    return [name for name in wanted if name in columns]
