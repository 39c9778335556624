"""The input of a batch as lines of JSON: a file of lines, or a Parquet file, of which each row becomes a line."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from turnout.batch.rows import BatchInputError
from turnout_io.batch.output_file import read_blocks

__all__ = ["read_input"]

ROWS_AT_ONCE: Final = 1000


def read_input(path: str | os.PathLike[str]) -> Iterator[bytes]:
    """Return the whole lines of an input, in blocks.

    A row of a Parquet file has the columns of a line: `custom_id`, and `prompt`, `messages`, or `url` and `body`.
    `messages` and `body` can be nested values or text that holds JSON. Empty values are left out.

    Args:
        path: The file. Its name ends with `.parquet` if it is one.

    Raises:
        BatchInputError: If the name ends with `.parquet` and the file is not valid, or `pyarrow` is not installed.
    """
    return _parquet_lines(path) if os.fspath(path).endswith(".parquet") else read_blocks(path)


def _parquet_lines(path: str | os.PathLike[str]) -> Iterator[bytes]:
    try:
        import pyarrow  # pyright: ignore[reportMissingImports]
        import pyarrow.parquet  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise BatchInputError(f"{path} needs pyarrow: pip install 'turnout[parquet]'") from None
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(ROWS_AT_ONCE):
                yield b"".join(_line(row) for row in batch.to_pylist())
    except pyarrow.ArrowException as error:
        raise BatchInputError(f"{path} is not a Parquet file that can be read: {error}") from None


def _line(row: dict[str, Any]) -> bytes:
    fields = {name: value for name, value in row.items() if value is not None}
    for name in ("messages", "body"):
        if isinstance(fields.get(name), str):
            fields[name] = msgspec.Raw(fields[name].encode())
    return msgspec.json.encode(fields) + b"\n"
