"""A folder of generated images: the table of what is what as text too, and a sheet to look at."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from pyarrow import csv, parquet

from memlib.files import whole
from memlib.screening.images import FILE_NAME, Cell, contact_sheet
from memlib.screening.mitigated import IMAGES

_ROWS, _COLUMNS = 20, 8


def table_of(folder: Path) -> Path:
    """The table of a folder of images."""
    return folder / "images.parquet"


def pictures_of(folder: Path) -> Path:
    """Where the images of a folder lie."""
    return folder / "images"


def finish(folder: Path) -> None:
    """Write `images.csv`, the same table as text, and `sheet.png`, the first images of the first prompts.

    Where there are images before and after a mitigation the sheet shows them side by side.
    """
    with parquet.ParquetFile(table_of(folder)) as file:
        with whole(folder / "images.csv") as temporary, csv.CSVWriter(temporary, file.schema_arrow) as writer:
            for batch in file.iter_batches():
                writer.write_batch(batch)
        first = next(file.iter_batches(batch_size=_first_rows(file)))
    headings, rows = _rows(first, pictures_of(folder))
    contact_sheet(rows, folder / "sheet.png", headings=headings)


def discard_others(folder: Path) -> None:
    """Remove the images of an earlier run, which the table does not name; files that no run wrote stay."""
    kinds = [name for name in parquet.read_schema(table_of(folder)).names if name.startswith("image")]
    names: set[str] = set()
    with parquet.ParquetFile(table_of(folder)) as file:
        for batch in file.iter_batches(columns=kinds):
            names.update(*(batch[kind].to_pylist() for kind in kinds))
    for path in pictures_of(folder).iterdir():
        if FILE_NAME.fullmatch(path.name) and path.name not in names:
            path.unlink()


def _first_rows(file: parquet.ParquetFile) -> int:
    """Rows of as many prompts as a sheet shows."""
    first = next(file.iter_batches(batch_size=1 << 12, columns=["number"]))
    number: list[int] = first["number"].to_pylist()
    return max(1, _ROWS * number.count(number[0]))


def _rows(batch: pa.RecordBatch, home: Path) -> tuple[list[str], list[tuple[str, list[Cell]]]]:
    """Headings of the columns, and the rows of a sheet."""
    before, *after = IMAGES if {*IMAGES} <= {*batch.schema.names} else ("image",)
    rows: dict[int, tuple[str, list[Cell]]] = {}
    headings: list[str] = []
    for image in batch.to_pylist():
        number = image["number"]
        _, cells = rows.setdefault(number, (f"{number}: {image['prompt']}", []))
        if len(cells) < _COLUMNS:
            words = image.get("result", "").removeprefix("threshold ")
            cells += [(home / image[before], words), *((home / image[kind], "") for kind in after)]
            if len(rows) == 1:
                headings += [f"seed {image['seed']}", *("with mitigation" for _ in after)]
    return headings, list(rows.values())
