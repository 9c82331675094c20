"""Methods that move every given noise by itself along a gradient share this."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from memlib.mitigation.descent import Optimizer, descend
from memlib.mitigation.objectives import RowDifference
from memlib.mitigation.record import Mitigated, Task, recorded

NoiseObjective = Callable[[RowDifference, Tensor, Tensor], Tensor]
"""`(difference, x, rows) -> (b,)`."""


def check(threshold: float, steps: int, learning_rate: float) -> None:
    """Raise `ValueError` for settings with which no descent can work."""
    if not threshold > 0 or steps < 0 or not learning_rate > 0:
        raise ValueError(
            "threshold and learning_rate must be positive and steps 0 or more, "
            f"got {threshold}, {learning_rate} and {steps}"
        )


def on_noise(
    task: Task,
    objective: NoiseObjective,
    *,
    passes: int,
    threshold: float,
    steps: int,
    optimizer: Optimizer,
    label: str,
) -> Mitigated:
    """Descend from every given noise and record it.

    Args:
        task: what to change.
        objective: the objective of each row.
        passes: rows that one evaluation sends through the U-Net.
        threshold: the value of the objective at which a row stops.
        steps: the largest number of gradient steps.
        optimizer: makes the optimizer of the noise.
        label: what messages call the method.
    """
    grid = tuple(task.noise.shape[:2])
    difference = RowDifference(task.model, task.t, task.prompts.repeated(grid[0] * grid[1]))
    found = descend(
        lambda x, rows: objective(difference, x, rows),
        task.noise.flatten(0, 1),
        threshold=threshold,
        steps=steps,
        optimizer=optimizer,
        progress=task.progress,
        label=label,
    )
    known: dict[str, Any] = {
        "step": found.step.reshape(grid),
        "objective": found.objective.reshape(grid),
        "threshold": torch.full(grid, threshold, dtype=torch.float64),
        "passes": passes * found.evaluations.reshape(grid).sum(1),
        "backward": passes * found.gradients.reshape(grid).sum(1),
    }
    return recorded(task, noise=found.found.unflatten(0, grid), **known)
