"""`results.json`: what a run measured, and everything needed to say where it came from.

>>> results = load(Path("build/runs/02_gaussian_mixture/quick"))  # doctest: +SKIP
>>> results.scalars["auc"].value  # doctest: +SKIP
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    ValidationError,
    model_validator,
)

from memlib.files import write_text

FILE = "results.json"

Value = bool | int | float | str | list[int] | list[float] | list[str]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Scalar(_Record):
    """One number, with its uncertainty where it has one."""

    value: bool | int | float
    interval: Annotated[list[float], Field(min_length=2, max_length=2)] | None = None
    level: Annotated[float, Field(gt=0, lt=1)] | None = None
    n: Annotated[int, Field(ge=1)] | None = None
    about: str = ""

    @model_validator(mode="after")
    def _interval_has_a_level(self) -> Self:
        if (self.interval is None) != (self.level is None):
            raise ValueError("interval and level come together: interval=(low, high), level=0.95")
        if self.interval is not None and self.interval[0] > self.interval[1]:
            raise ValueError(f"interval must be (low, high), got {tuple(self.interval)}")
        return self

    @property
    def low(self) -> float:
        """Lower end of the interval; the value where there is none."""
        return float(self.interval[0] if self.interval else self.value)

    @property
    def high(self) -> float:
        """Upper end of the interval; the value where there is none."""
        return float(self.interval[1] if self.interval else self.value)


class Check(_Record):
    """A statement about the numbers of a run, and whether it holds in this one."""

    holds: bool
    about: str


class Artifact(_Record):
    """A figure or a table: its files, relative to the folder of the run."""

    files: Annotated[list[str], Field(min_length=1)]
    about: str = ""

    @model_validator(mode="after")
    def _files_stay_inside(self) -> Self:
        for file in self.files:
            path = PurePosixPath(file)
            if path.is_absolute() or ".." in path.parts:
                raise ValueError(f"{file!r} must be relative to the folder of the run and lie inside it")
        return self


class Results(_Record):
    """The whole of a `results.json`. `device` is what torch calls it, `hardware` what a person does."""

    schema_version: Literal[1] = 1
    notebook: str
    run: str
    preset: str
    parameters: dict[str, Value]
    scalars: dict[str, Scalar]
    figures: dict[str, Artifact]
    tables: dict[str, Artifact]
    checks: dict[str, Check] = {}
    seed: int | None
    device: str
    hardware: str
    versions: dict[str, str]
    commit: str
    dirty: bool | None
    # Dates are text in JSON, so this one field is not strict.
    started: Annotated[AwareDatetime, Field(strict=False)]
    duration_s: NonNegativeFloat

    @property
    def broken(self) -> list[str]:
        """The checks that do not hold, each as "name: what should hold"."""
        return [f"{name}: {check.about}" for name, check in self.checks.items() if not check.holds]


def finished(build: Path) -> list[Path]:
    """The results files of all finished runs below a build folder, in the order of their paths."""
    found = sorted(build.glob(f"runs/*/*/{FILE}"))
    return [path for path in found if not path.parent.name.startswith(".")]


def load(run: Path) -> Results:
    """Read and validate the results of a run, given its folder or its `results.json`.

    Raises `ValueError` naming the file and every fault, also when a figure or table it lists is not there.
    """
    path = run if run.suffix == ".json" else run / FILE
    if not path.is_file():
        raise ValueError(
            f"{path} is not there; expected the results of a finished run (see `companion run --help`)"
        )
    try:
        results = Results.model_validate_json(path.read_bytes())
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors())
        raise ValueError(f"{path} is not a valid results file ({faults}); run the notebook again") from error
    listed = (
        file for kind in (results.figures, results.tables) for item in kind.values() for file in item.files
    )
    absent = [file for file in listed if not (path.parent / file).is_file()]
    if absent:
        raise ValueError(f"{path} lists {', '.join(absent)}, not there; run the notebook again")
    return results


def write(results: Results, folder: Path) -> Path:
    """Write `results.json` into the folder of a run, whole, and return its path."""
    path = folder / FILE
    write_text(path, results.model_dump_json(indent=2) + "\n")
    return path
