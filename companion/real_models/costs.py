"""How long a chapter will take on Stable Diffusion: passes of a U-Net counted here, times a recorded pass."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from companion.experiment import benchmarks
from memlib.text_to_image import TextToImage

if TYPE_CHECKING:
    import pandas as pd

ROWS = 4
"""Rows of the U-Net behind a recorded call: s_Delta at a point and beside it, each under two texts."""
PAPER = {
    "spectra": ("90 captions x 2 times x 128 steps", 90 * 2 * 128),
    "first step": ("1,000 captions x 16 seeds", 1000 * 16),
    "all steps": ("1,000 captions x 4 seeds x 50 steps", 1000 * 4 * 50),
    "mitigation": ("454 captions x 5 seeds x 41 settings x 50 steps", 454 * 5 * 41 * 50),
}
"""Part of the chapter -> the paper's sizes for it, in words and as a number of units."""
GPU = 100.0
"""How many times as fast as two cores a data-centre GPU in half precision is taken to be; not measured."""


def seconds_per_row() -> float:
    """Seconds that a row takes through a U-Net of Stable Diffusion 1.4's size on two cores, as recorded."""
    rows = benchmarks.recorded("full-size").dropna(subset=["seconds"])
    return float(rows["seconds"].iloc[0]) / ROWS


@dataclass
class Stopwatch:
    """Times the parts of a chapter in passes of one row through the model's own U-Net.

    Attributes:
        row: seconds of such a pass, the median of several.
        parts: name -> seconds and number of units.
    """

    row: float
    parts: dict[str, tuple[float, int]] = field(default_factory=dict)

    @classmethod
    @torch.no_grad()
    def of(cls, model: TextToImage, noise: Float[Tensor, "n ..."], t: int, rounds: int = 5) -> Stopwatch:
        """Time passes of one row of `noise` at time `t`."""
        score, x = model.score(t), noise[:1]
        taken = []
        for _ in range(rounds):
            began = time.perf_counter()
            score(x)
            if model.device.type == "cuda":
                torch.cuda.synchronize(model.device)
            taken.append(time.perf_counter() - began)
        return cls(statistics.median(taken))

    @contextmanager
    def part(self, name: str, units: int) -> Iterator[None]:
        """Time what happens inside as `units` units of a part of `PAPER`."""
        began = time.perf_counter()
        yield
        self.parts[name] = time.perf_counter() - began, units


def expected(watch: Stopwatch, seconds: float, paper: Mapping[str, tuple[str, int]] = PAPER) -> Any:
    """What every part takes at the paper's sizes, if its passes keep their proportions.

    A small U-Net is busier with overhead and less with attention than a large one: the estimate is one of
    order, not of minutes.

    Args:
        watch: what was timed here.
        seconds: of a row at full size, see `seconds_per_row`.
        paper: sizes by part.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for name, (taken, units) in watch.parts.items():
        sizes, full = paper[name]
        passes = taken / units / watch.row
        hours = passes * full * seconds / 3600
        rows.append(
            {
                "part": name,
                "seconds here": taken,
                "units here": units,
                "passes a unit": passes,
                "sizes of the paper": sizes,
                "hours on two cores": hours,
                "hours on a GPU": hours / GPU,
            }
        )
    frame: pd.DataFrame = pd.DataFrame(rows)
    return frame
