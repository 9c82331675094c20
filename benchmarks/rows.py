"""What a benchmark reports: one row per comparison, and the file that holds all rows of a run."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, model_validator

from companion import provenance
from memlib.files import write_text

PACKAGES = ("scipy", "curvlinops-for-pytorch", "skerch", "matfree")
Reads = Literal[
    "times faster",
    "times the time of",
    "times smaller",
    "times the memory of",
    "relative difference",
    "prompts a second",
    "seconds",
    "exponent",
    "share",
]


class Strict(BaseModel):
    """A record without unknown or infinite entries."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Row(Strict):
    """One comparison.

    Attributes:
        benchmark: the group, a name that `--only` takes.
        what: what memlib does.
        instead_of: what it is compared with.
        setting: sizes, and what one unit of the times is.
        seconds, seconds_instead: median time of a unit on either side.
        ratio, low, high: median, smallest and largest of the ratios within one round; or of another number,
            which `reads` names.
        reads: how to read the ratio, "what is RATIO times faster than instead_of".
        target, met: what the ratio should be, and whether its median is.
        agreement: largest difference between the two results, relative to the largest entry.
        megabytes, megabytes_instead: memory on top of the loaded model, at the peak.
        note: what else has to be known to read the row.
    """

    benchmark: str
    what: str
    instead_of: str
    setting: str
    seconds: float | None = None
    seconds_instead: float | None = None
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    reads: Reads | None = None
    target: str = ""
    met: bool | None = None
    agreement: float | None = None
    megabytes: float | None = None
    megabytes_instead: float | None = None
    note: str = ""

    @model_validator(mode="after")
    def _complete(self) -> Row:
        if (self.ratio is None) != (self.reads is None) or bool(self.target) != (self.met is not None):
            raise ValueError("a ratio needs `reads`, and a target needs `met`")
        if self.ratio is None and not self.note:
            raise ValueError("a row without a ratio says why in its note")
        if None not in (self.ratio, self.low, self.high) and not self.low <= self.ratio <= self.high:  # type: ignore[operator]
            raise ValueError(f"ratio {self.ratio} lies outside {self.low} to {self.high}")
        return self


class Machine(Strict):
    """The class of machine; never its name."""

    name: str
    processor: str
    cores: int
    threads: int
    device: str


class Results(Strict):
    """A whole run of the benchmarks of one suite."""

    suite: str = "hessian"
    machine: Machine
    date: str
    commit: str
    dirty: bool | None
    versions: dict[str, str]
    checkpoint: str
    sizes: dict[str, int | str | tuple[int, ...] | tuple[tuple[str, str], ...]]
    seconds: float
    rows: tuple[Row, ...]

    @property
    def file_name(self) -> str:
        """`<suite>-cpu.json` or `<suite>-cuda-<card>.json`."""
        if self.machine.device == "cpu":
            return f"{self.suite}-cpu.json"
        card = "-".join(self.machine.name.lower().split())
        return f"{self.suite}-cuda-{''.join(c for c in card if c.isalnum() or c == '-')}.json"

    def write(self, folder: Path) -> Path:
        """Write the file whole and return its path."""
        path = folder / self.file_name
        write_text(path, self.model_dump_json(indent=1, exclude_defaults=True) + "\n")
        return path


def machine(device: str) -> Machine:
    """What the run ran on."""
    return Machine(
        name=provenance.hardware(device),
        processor=_processor(),
        cores=os.cpu_count() or 1,
        threads=torch.get_num_threads(),
        device=torch.device(device).type,
    )


def origin() -> dict[str, Any]:
    """Date, commit and versions, as fields of `Results`."""
    versions = provenance.versions()
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": provenance.commit(),
        "dirty": provenance.dirty(),
        "versions": versions,
    }


def _processor() -> str:
    """Architecture and vector instructions that torch uses, which say more of speed than a brand."""
    return f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}"
