"""A folder of generated images: the table of what is what as text too, and a sheet to look at."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from pyarrow import csv, parquet

from memlib.experiment.files import whole
from memlib.screening.images import contact_sheet

_ROWS, _COLUMNS = 20, 8


def table_of(folder: Path) -> Path:
    """The table of a folder of images."""
    return folder / "images.parquet"


def pictures_of(folder: Path) -> Path:
    """Where the images of a folder lie."""
    return folder / "images"


def finish(folder: Path) -> None:
    """Write `images.csv`, the same table as text, and `sheet.png`, the first images of the first prompts."""
    with parquet.ParquetFile(table_of(folder)) as file:
        with whole(folder / "images.csv") as temporary, csv.CSVWriter(temporary, file.schema_arrow) as writer:
            for batch in file.iter_batches():
                writer.write_batch(batch)
        first = next(file.iter_batches(batch_size=_first_rows(file)))
    contact_sheet(_rows(first, pictures_of(folder)), folder / "sheet.png")


def _first_rows(file: parquet.ParquetFile) -> int:
    """Rows of as many prompts as a sheet shows."""
    first = next(file.iter_batches(batch_size=1 << 12, columns=["number"]))
    number: list[int] = first["number"].to_pylist()
    return max(1, _ROWS * number.count(number[0]))


def _rows(batch: pa.RecordBatch, home: Path) -> list[tuple[str, list[Path]]]:
    found: dict[int, list[Path]] = {}
    for number, name in zip(batch["number"].to_pylist(), batch["image"].to_pylist(), strict=True):
        found.setdefault(number, []).append(home / name)
    return [(str(number), paths[:_COLUMNS]) for number, paths in found.items()]
