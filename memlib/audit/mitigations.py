"""What each mitigation does about the worst captions: how many copies are left, as far as images show."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
from pyarrow import parquet

from memlib.mitigation import METHODS, from_text, settings_of
from memlib.mitigation.method import check_applies
from memlib.mitigation.settings import about
from memlib.screening import mitigated, noises, thresholds

if TYPE_CHECKING:
    from memlib.audit.audit import Run

_FOLDER = "mitigated"


@dataclass(frozen=True, eq=False)
class Trial:
    """What became of the images of some prompts under a method.

    Attributes:
        method: its name.
        about: what it is.
        skipped: why it was not tried, or "".
        threshold: what it was given, if it has one.
        before: files of the images of each prompt as they come.
        after: with the method.
    """

    method: str
    about: str
    skipped: str = ""
    threshold: float | None = None
    before: list[list[Path]] = field(default_factory=list)
    after: list[list[Path]] = field(default_factory=list)


def tried(run: Run, rows: list[int]) -> list[Trial]:
    """Every method at its default settings; thresholds are those that harmless captions give.

    Args:
        run: has the model, the harmless captions, without which methods with a threshold are left out, and
            the folder.
        rows: of its table, captions that are sampled.
    """
    model, prompts, n = run.audit.model, run.table.take(pa.array(rows)), len(run.seeds)
    found = []
    for name in (name for name in METHODS if name != "none"):
        folder = run.out / _FOLDER / name
        try:
            given = _threshold(run, name)
            method = from_text(name, {}, **given)
            screening = mitigated.screening(
                model, prompts, run.seeds, name, method, folder, **run.settings.sampling
            )
        except ValueError as why:
            found.append(Trial(name, about(name), skipped=str(why)))
            continue
        path = folder.with_name(f"{name}.parquet")
        replace(screening, facts=run.facts["model"]).run(path, **run.options)
        table = parquet.read_table(path, columns=list(mitigated.IMAGES))
        before, after = ([folder / file for file in files.to_pylist()] for files in table.columns)
        found.append(
            Trial(name, about(name), "", given.get("threshold"), _grouped(before, n), _grouped(after, n))
        )
    return found


def _threshold(run: Run, name: str) -> dict[str, float]:
    """The threshold of a method as its setting; none for one that has none, `ValueError` if unknown."""
    if "threshold" not in settings_of(name):
        return {}
    model, harmless = run.audit.model, run.audit.calibration
    if harmless is None:
        raise ValueError("its threshold is taken from harmless captions, and there are none")
    check_applies(model, from_text(name, {}, threshold=1.0))
    found = thresholds.from_reference(
        model, name, {}, harmless.slice(0, run.settings.innocent), noises(model, run.seeds),
        num_inference_steps=run.settings.num_inference_steps,
        rows=run.options["rows"], progress=run.options["progress"],
    )  # fmt: skip
    return {"threshold": found.threshold}


def _grouped(files: list[Path], n: int) -> list[list[Path]]:
    return [files[start : start + n] for start in range(0, len(files), n)]
