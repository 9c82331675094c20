"""The runs of the book again: identical on the same machine, close with more threads or older instructions.

Sums in another order change the last bits of a number, and an experiment may magnify them: a sample that
crosses a threshold changes a count. So a number is called close if it moved by less than its own
uncertainty lets one notice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from companion.experiment import results
from companion.experiment.compare import Difference, differences, flat
from companion.experiment.results import Scalar
from companion.experiment.runs import Place

RELATIVE, SHARE = 1e-3, 0.25
"""A number is close if it moved by at most this part of itself, or this share of its interval's width."""


@dataclass(frozen=True)
class Variant:
    """How the runs are repeated.

    Attributes:
        about: in words.
        threads: of each run; None for as many as before.
        environment: variables that choose the processor's instructions.
        exact: whether every number must be the same to the last bit.
    """

    about: str
    threads: int | None = None
    environment: Mapping[str, str] | None = None
    exact: bool = False


VARIANTS = {
    "again": Variant("once more", exact=True),
    "again-2-threads": Variant("on two threads", threads=2),
    "again-avx2": Variant(
        "without AVX-512", environment={"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
    ),
}
"""Name of the runs -> how they are made."""


def environment(run: str) -> str:
    """The variables of a run as words before a command; empty for runs of another name."""
    variant = VARIANTS.get(run)
    given = variant.environment if variant else None
    return " ".join(f"{name}={value}" for name, value in (given or {}).items())


def threads(run: str) -> int | None:
    """The threads of a run; None for as many as others have."""
    return VARIANTS[run].threads if run in VARIANTS else None


@dataclass(frozen=True)
class Comparison:
    """How the runs of a variant compare with those that came before.

    Attributes:
        shared: numbers in both, bounds of intervals included.
        moved: those that are not identical to the last bit, the ones that moved most first.
        apart: of these, the ones that are not close, or all if the variant must be exact; and numbers that
            only one side has.
    """

    shared: int
    moved: list[Difference]
    apart: list[Difference]


def compared(build: Path, preset: str, run: str, chapters: Iterable[str]) -> Comparison:
    """Compare the runs called `run` with those of a preset; `ValueError` if one is missing or not valid."""
    before, after = (
        {chapter: results.load(Place(build, chapter, name).final) for chapter in chapters}
        for name in (preset, run)
    )
    old, new = ({(name, preset): flat(found) for name, found in runs.items()} for runs in (before, after))
    moved = differences(old, new)
    if VARIANTS[run].exact:
        apart = moved
    else:
        apart = [item for item in moved if not _close(before[item.notebook].scalars, item)]
    return Comparison(sum(len(old[place].keys() & new[place].keys()) for place in old), moved, apart)


def _close(scalars: Mapping[str, Scalar], item: Difference) -> bool:
    if item.before is None or item.after is None:
        return False
    known = scalars[item.key.removesuffix(", low").removesuffix(", high")]
    moved = abs(item.after - item.before)
    return item.relative <= RELATIVE or moved <= SHARE * (known.high - known.low)
