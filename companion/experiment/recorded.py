"""Recorded runs: larger than the quick ones, made once and kept as `recorded/NOTEBOOK.json`.

The verdicts of the book rest on them where there are any. A quick run is shown beside the recorded one and
checked against it: the same numbers, from fewer draws.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from companion.experiment import results
from companion.experiment.results import Results
from companion.experiment.runs import Place
from companion.paths import project_root
from memlib.files import write_text

PRESET = "recorded"


def folder() -> Path:
    """Where recorded runs lie."""
    return project_root() / "recorded"


def load(notebook: str, where: Path | None = None) -> Results | None:
    """The recorded run of a notebook; None if there is none, `ValueError` if it is not valid."""
    path = (where or folder()) / f"{notebook}.json"
    return results.load(path) if path.is_file() else None


def load_all(notebooks: Iterable[str], where: Path | None = None) -> dict[str, Results]:
    """The recorded runs that there are."""
    found = {name: load(name, where) for name in notebooks}
    return {name: run for name, run in found.items() if run is not None}


def keep(place: Place, where: Path | None = None) -> Path:
    """Record a finished run: its numbers and where they came from, without figures and tables.

    Raises:
        ValueError: the run is not there or not valid, or one of its checks does not hold.
    """
    found = results.load(place.final)
    if found.broken:
        raise ValueError(f"{place.final} does not hold, and is not recorded: {'; '.join(found.broken)}")
    path = (where or folder()) / f"{place.notebook}.json"
    kept = found.model_copy(update={"figures": {}, "tables": {}})
    write_text(path, kept.model_dump_json(indent=1) + "\n")
    return path


@dataclass(frozen=True)
class Agreement:
    """How a run compares with the recorded one.

    Attributes:
        compared: numbers that have an interval of some width in both.
        apart: those of them whose 95 % interval of the difference leaves out zero; by chance, 5 % or fewer.
    """

    compared: list[str]
    apart: list[str]


def agreement(run: Results, recorded: Results) -> Agreement:
    """Compare all numbers that both runs have with an interval."""
    from companion import effects  # brings scipy, which the command line does without

    compared = [
        key for key in run.scalars if key in recorded.scalars and _wide(run, key) and _wide(recorded, key)
    ]
    apart = []
    for key in compared:
        low, high = effects.ends_of_difference(run.scalars[key], recorded.scalars[key])
        if low > 0 or high < 0:
            apart.append(key)
    return Agreement(compared, apart)


def _wide(run: Results, key: str) -> bool:
    return run.scalars[key].low < run.scalars[key].high
