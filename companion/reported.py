"""What others print for the real models: numbers to set beside a run, never to be mistaken for one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """A row of a printed table. None: not printed.

    Attributes:
        statistic: as named in this package, by first author.
        steps: how many of the first sampling steps are used.
        seeds: the number of samples averaged.
        auc: the areas under the curve for Stable Diffusion 1.4 and 2.0.
        tpr: the true positive rates at 1 % false positives, likewise.
        source: key of the bibliography.
    """

    statistic: str
    steps: int
    seeds: int
    auc: tuple[float, float]
    tpr: tuple[float, float] | None
    source: str = "jeon2025understanding"


TABLE_1 = (
    Published("carlini", 50, 4, (0.908, 0.792), (0.088, 0.114)),
    Published("carlini", 50, 16, (0.940, 0.907), (0.232, 0.114)),
    Published("ren_layer", 1, 1, (0.846, 0.848), (0.116, 0.0)),
    Published("ren_layer", 1, 4, (0.839, 0.853), (0.130, 0.0)),
    Published("ren_layer", 1, 16, (0.832, 0.851), (0.124, 0.0)),
    Published("ren_attention", 50, 1, (0.606, 0.809), (0.0, 0.0)),
    Published("ren_attention", 50, 4, (0.628, 0.820), (0.0, 0.0)),
    Published("ren_attention", 50, 16, (0.598, 0.817), (0.0, 0.0)),
    Published("chen", 50, 1, (0.986, 0.983), (0.950, 0.908)),
    Published("chen", 50, 4, (0.997, 0.990), (0.980, 0.945)),
    Published("chen", 50, 16, (0.997, 0.990), (0.982, 0.949)),
    Published("wen", 1, 1, (0.976, 0.948), (0.896, 0.739)),
    Published("wen", 1, 4, (0.992, 0.980), (0.944, 0.876)),
    Published("wen", 1, 16, (0.990, 0.983), (0.928, 0.881)),
    Published("wen", 5, 1, (0.991, 0.969), (0.932, 0.885)),
    Published("wen", 5, 4, (0.997, 0.984), (0.978, 0.917)),
    Published("wen", 5, 16, (0.998, 0.987), (0.982, 0.931)),
    Published("wen", 50, 1, (0.983, 0.982), (0.948, 0.904)),
    Published("wen", 50, 4, (0.996, 0.990), (0.982, 0.949)),
    Published("wen", 50, 16, (0.998, 0.991), (0.980, 0.945)),
    Published("jeon", 1, 1, (0.987, 0.959), (0.908, 0.740)),
    Published("jeon", 1, 4, (0.998, 0.991), (0.982, 0.895)),
)
"""The paper's table 1, all rows."""

LATER = (Published("asthana", 1, 1, (0.994, 0.953), (0.935, 0.791), "asthana2026detecting"),)
"""Printed later on the same prompts and models."""


def columns(statistic: str, steps: int, seeds: int) -> dict[str, float]:
    """What is printed for a statistic, as columns beside those of a run; nan where nothing is."""
    rows = [
        row
        for row in (*TABLE_1, *LATER)
        if (row.statistic, row.steps, row.seeds) == (statistic, steps, seeds)
    ]
    nothing = (float("nan"), float("nan"))
    auc, tpr = (rows[0].auc, rows[0].tpr or nothing) if rows else (nothing, nothing)
    models = ("SD 1.4", "SD 2.0")
    return {
        f"published {name}, {model}": value
        for name, values in (("AUC", auc), ("TPR", tpr))
        for model, value in zip(models, values, strict=True)
    }
