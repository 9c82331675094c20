"""Rows of named values, some with an interval: recorded, saved as columns of a file, shown as a table.

>>> rows = [{"t": 20, "share": intervals.proportion([True, False])}]  # doctest: +SKIP
>>> record = {"share": ("share_{t}", "Share of copies at t = {t}")}  # doctest: +SKIP
>>> tables.tabulate(run, "shares", rows, about="Shares of copies", record=record)  # doctest: +SKIP
>>> tables.shown(rows)  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from string import Formatter
from typing import TYPE_CHECKING, Any, TypeAlias

import pandas as pd

from companion import digits
from memlib.intervals import Interval

if TYPE_CHECKING:
    from pandas.io.formats.style import Styler

    from companion.experiment.recorder import Run

Rows: TypeAlias = Iterable[Mapping[str, Any]] | Mapping[str, Sequence[Any]] | pd.DataFrame
"""Named values: one mapping a row, or one sequence a column."""


def rows(found: Mapping[Any, Any], names: Sequence[str], value: str) -> list[dict[str, Any]]:
    """Rows from values under keys: each part of a key under its name, and the value under the name `value`.

    Args:
        found: values by a key, or by a tuple of as many keys as there are names.
        names: the names of the parts of a key.
        value: name of what stands under the key.

    Example:
        >>> rows({("norm", 20): 0.9}, ["statistic", "t"], "AUC")
        [{'statistic': 'norm', 't': 20, 'AUC': 0.9}]
    """
    parts = {key: key if isinstance(key, tuple) else (key,) for key in found}
    return [dict(zip(names, parts[key], strict=True)) | {value: item} for key, item in found.items()]


def frame(values: Rows) -> pd.DataFrame:
    """Named values as a table of numbers: an interval under `name` takes `name`, `name, low`, `name, high`.

    Example:
        >>> frame([{"t": 20, "share": Interval(0.5, 0.25, 0.75, level=0.95, n=4)}]).iloc[0].tolist()
        [20.0, 0.5, 0.25, 0.75]
    """
    columns = {}
    for name, column in _read(values).items():
        columns[name] = column.infer_objects()
        if any(isinstance(item, Interval) for item in column):
            for heading, part in ((name, "value"), (f"{name}, low", "low"), (f"{name}, high", "high")):
                columns[heading] = pd.Series([getattr(item, part, None) for item in column], dtype=float)
    return pd.DataFrame(columns)


def tabulate(
    run: Run,
    name: str,
    values: Rows,
    *,
    about: str,
    record: Mapping[str, tuple[str, str]] | None = None,
) -> pd.DataFrame:
    """Save named values as a table of a run, and record single ones of them.

    Args:
        run: the run under way.
        name: the name of the table.
        values: rows or columns, see `frame`.
        about: what the table holds.
        record: for some columns the key and the description under which each row's value is recorded. Names
            in braces stand for values of the row: `{"share": ("share_{t}", "Share of copies at t = {t}")}`.
            A row without a value in the column, or for a name in the key, is passed over.

    Returns:
        The table of numbers.
    """
    read = _read(values)
    for column, (key, meaning) in (record or {}).items():
        needed = [column, *(name for _, name, _, _ in Formatter().parse(key) if name)]
        for row in read.to_dict("records"):
            if all(isinstance(row[name], Interval) or not pd.isna(row[name]) for name in needed):
                run.record(key.format_map(row), row[column], about=meaning.format_map(row))
    return run.table(frame(read), name, about=about)


def shown(
    values: Rows,
    columns: Sequence[str] | Mapping[str, str] | None = None,
    formats: str | Mapping[str, str] = ".2f",
) -> Styler:
    """Named values as a table for the page, an interval in one cell: "0.50 (0.25 to 0.75)".

    Args:
        values: rows or columns, see `frame`.
        columns: those to show, in this order; a mapping gives each its heading. None shows all.
        formats: how numbers and intervals are written: one format, or one for each column (".2f" for others).
            Of an interval no more digits are written than it supports (`companion.digits`), and no bounds
            where it has no width. Whole numbers get separators of thousands; a missing value is an empty
            cell.
    """
    read = _read(values)
    headings = dict(columns) if isinstance(columns, Mapping) else {name: name for name in columns or read}
    spec = dict.fromkeys(headings, formats) if isinstance(formats, str) else formats
    cells = {
        heading: [_written(item, spec.get(name, ".2f")) for item in read[name]] if len(read) else []
        for name, heading in headings.items()
    }
    return pd.DataFrame(cells).style.hide(axis="index")


def _read(values: Rows) -> pd.DataFrame:
    """A table of objects: whole numbers stay whole where some are missing."""
    if isinstance(values, pd.DataFrame):
        return values.reset_index(drop=True).astype(object)
    return pd.DataFrame(values if isinstance(values, Mapping) else list(values), dtype=object)


def _written(item: Any, spec: str) -> str:
    if isinstance(item, str | bool):
        return str(item)
    if isinstance(item, Interval):
        return digits.interval(item.value, item.low, item.high, spec)
    if pd.isna(item):
        return ""
    if isinstance(item, Integral):
        return f"{item:,}"
    return format(item, spec) if isinstance(item, Real) else str(item)
