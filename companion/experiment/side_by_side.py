"""Runs of one notebook side by side: the parameters and the numbers of each, as one table.

>>> runs = find(build_folder(), "02_gaussian_mixture")  # doctest: +SKIP
>>> write(frame(runs), Path("runs.csv"))  # doctest: +SKIP
>>> print(text(runs))  # doctest: +SKIP
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd

from companion.experiment import recorded, results
from companion.experiment.results import FILE, Results, Scalar
from companion.experiment.runs import Place
from memlib.files import whole

ENDINGS = (".csv", ".parquet")
Column: TypeAlias = Sequence[str]
PARAMETER = "parameter"
"""Stands before the name of a parameter in the heading of its column: numbers may be called the same."""


def find(build: Path, notebook: str, names: Iterable[str] = ()) -> list[Results]:
    """Finished runs of a notebook, by name; without names all, in the order of their names.

    Args:
        build: the build folder.
        notebook: its name.
        names: names of runs; "recorded" is the run kept in `recorded/` where the build folder has none.

    Raises:
        ValueError: there is no run of this name, or none at all; it lists those that there are.
    """
    folder = Place(build, notebook, "any").final.parent
    there = sorted(path.parent.name for path in folder.glob(f"*/{FILE}") if path.parent.name[0] != ".")
    found = []
    for name in names or there:
        kept = recorded.load(notebook) if name == recorded.PRESET and name not in there else None
        if kept is None and name not in there:
            known = ", ".join(there) or "none"
            raise ValueError(f"{notebook} has no finished run {name!r} in {build} (there are: {known})")
        found.append(kept or results.load(folder / name))
    if not found:
        raise ValueError(f"{notebook} has no finished run in {build}; see `companion run --help`")
    return found


def frame(runs: Sequence[Results]) -> pd.DataFrame:
    """One row a run: its name, its parameters, its numbers.

    Columns are `notebook`, `run`, `parameter NAME` for each parameter but the folder, and `KEY` for each
    number, with `KEY, low` and `KEY, high` where a run has its interval. What a run lacks is missing.
    """
    return pd.DataFrame([_row(run) for run in runs])


def _row(run: Results) -> dict[str, Any]:
    row: dict[str, Any] = {"notebook": run.notebook, "run": run.run}
    for name, value in run.parameters.items():
        if name != "output":
            row[f"{PARAMETER} {name}"] = json.dumps(value) if isinstance(value, list) else value
    for key, scalar in run.scalars.items():
        row[key] = float(scalar.value)
        if scalar.interval:
            row[f"{key}, low"], row[f"{key}, high"] = scalar.interval
    return row


def write(table: pd.DataFrame, path: Path) -> None:
    """Write a table whole, in the form that the ending names; `ValueError` for another ending."""
    if path.suffix not in ENDINGS:
        raise ValueError(f"{path} must end in {' or '.join(ENDINGS)}, got {path.suffix or 'no ending'!r}")
    with whole(path) as temporary:
        if path.suffix == ".csv":
            table.to_csv(temporary, index=False)
        else:
            table.to_parquet(temporary, index=False)


def text(runs: Sequence[Results], width: int = 120) -> str:
    """The table to read: one row a number, one column a run, first the parameters that differ.

    Args:
        runs: the runs.
        width: characters of a line. Runs that do not fit follow below; names and numbers are never cut.
    """
    names = dict.fromkeys(name for run in runs for name in run.parameters if name != "output")
    given = {f"-p {name}": [str(run.parameters.get(name, "")) for run in runs] for name in names}
    rows = {"": [run.run for run in runs]}
    rows |= {name: values for name, values in given.items() if len(set(values)) > 1}
    keys = dict.fromkeys(key for run in runs for key in run.scalars)
    rows |= {key: [_written(run.scalars.get(key)) for run in runs] for key in keys}
    columns = list(zip(*rows.values(), strict=True))
    return "\n\n".join(_block(list(rows), some) for some in _fitting(list(rows), columns, width))


def _written(scalar: Scalar | None) -> str:
    if scalar is None:
        return ""
    bounds = f" [{scalar.low:.4g}, {scalar.high:.4g}]" if scalar.low < scalar.high else ""
    return f"{scalar.value:.4g}{bounds}"


def _wide(cells: Sequence[str]) -> int:
    return max(map(len, cells)) + 2  # two spaces to the next column


def _fitting(names: Column, columns: Iterable[Column], width: int) -> Iterator[list[Column]]:
    """Columns in groups that fit beside the names, at least one in each."""
    group: list[Column] = []
    for column in columns:
        if group and sum(map(_wide, [names, *group, column])) > width + 2:
            yield group
            group = []
        group.append(column)
    yield group


def _block(names: Column, columns: Sequence[Column]) -> str:
    padded = [[cell.ljust(_wide(column)) for cell in column] for column in (names, *columns)]
    return "\n".join("".join(line).rstrip() for line in zip(*padded, strict=True))
