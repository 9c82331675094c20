"""Two build folders side by side: every recorded number that moved, is new or is gone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from companion.experiment import results
from companion.experiment.results import Results

Numbers = dict[tuple[str, str], dict[str, float]]
"""By notebook and run: the value of each number, and its bounds as `key, low` and `key, high`."""


@dataclass(frozen=True)
class Difference:
    """A number that is not the same in both folders.

    Attributes:
        notebook, run, key: which number.
        before, after: its values; None where there is no such number.
    """

    notebook: str
    run: str
    key: str
    before: float | None
    after: float | None

    @property
    def relative(self) -> float:
        """|after - before| over the larger magnitude, in [0, 2]; infinite where one is missing."""
        if self.before is None or self.after is None:
            return math.inf
        return abs(self.after - self.before) / max(abs(self.after), abs(self.before))


def differences(before: Numbers, after: Numbers) -> list[Difference]:
    """All numbers that are not identical to the last bit, the ones that moved most first."""
    found = []
    for place in sorted(before.keys() | after.keys()):
        old, new = before.get(place, {}), after.get(place, {})
        found += [
            Difference(*place, key, old.get(key), new.get(key))
            for key in sorted(old.keys() | new.keys())
            if old.get(key) != new.get(key)
        ]
    return sorted(found, key=lambda difference: -difference.relative)


def numbers(build: Path) -> Numbers:
    """The numbers of all finished runs below a build folder.

    Raises `ValueError` if there is none, or a results file is not valid.
    """
    files = results.finished(build)
    if not files:
        raise ValueError(f"{build} holds no runs/NOTEBOOK/RUN/{results.FILE}; expected a build folder")
    loaded = map(results.load, files)
    return {(found.notebook, found.run): flat(found) for found in loaded}


def flat(found: Results) -> dict[str, float]:
    """The numbers of one run, and the bounds of intervals as `key, low` and `key, high`."""
    named: dict[str, float] = {}
    for key, scalar in found.scalars.items():
        named[key] = scalar.value
        for name, bound in zip(("low", "high"), scalar.interval or (), strict=False):
            named[f"{key}, {name}"] = bound
    return named
