"""The file of a whole table: joined from pieces, with the settings that made it in its metadata."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from memlib.files import whole

_KEY = b"memlib"
_GROUP = 1 << 16  # rows of a row group


def write(path: Path, schema: pa.Schema, settings: Mapping[str, Any], pieces: Iterator[pa.Table]) -> None:
    """Join pieces, read one after the other; the bytes do not depend on how the rows were cut into them."""
    described = schema.with_metadata({_KEY: json.dumps(settings, sort_keys=True)})
    with whole(path) as temporary:
        with parquet.ParquetWriter(temporary, described) as writer:
            for group in _regrouped(pieces):
                writer.write_table(group.cast(described))
        flush(temporary)


def settings(path: Path) -> Any:
    """The settings in a file; None for one of another origin."""
    try:
        return json.loads((parquet.read_schema(path).metadata or {}).get(_KEY, b"null"))
    except (pa.ArrowException, OSError, ValueError):
        return None


def flush(path: Path) -> None:
    """Have the system write a file before its name is changed, so that no crash leaves it empty."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _regrouped(pieces: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in tables of one size, the last one shorter."""
    held: list[pa.Table] = []
    rows = 0
    for piece in pieces:
        held.append(piece)
        rows += len(piece)
        while rows >= _GROUP:
            joined = pa.concat_tables(held).combine_chunks()
            yield joined.slice(0, _GROUP)
            held, rows = [joined.slice(_GROUP)], rows - _GROUP
    if rows:
        yield pa.concat_tables(held).combine_chunks()
