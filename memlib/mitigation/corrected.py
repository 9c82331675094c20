"""SAIL (Jeon et al. 2025) corrected: what this project would use."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar

import torch
from torch import Tensor

from memlib.mitigation import gradient
from memlib.mitigation.descent import NEVER, descend
from memlib.mitigation.objectives import RowDifference, unit
from memlib.mitigation.record import Mitigated, Task, recorded
from memlib.sharpness import norms


@dataclass(frozen=True)
class Sail:
    """Minimise ||H_Delta s_Delta|| over x_T on the sphere, from several noises if one does not do.

    What differs from the paper and from the released code, and why:

    - The objective is ||s_Delta|| ||s_Delta(x + h u) - s_Delta(x)|| / h with u = s_Delta / ||s_Delta||, which
      is ||H_Delta s_Delta|| up to O(h). With delta = 1 / ||s_Delta|| the factor 1 / delta^2 is no constant
      that could be absorbed. So the threshold has the unit of the statistic that detects
      (`memlib.text_to_image`, `OneStep.curvature`), and general captions say what it should be.
    - u is taken anew at every x.
    - x_T goes back to the sphere of radius sqrt(d) after each step: a penalty on ||x|| pulls it inside, where
      the network has seen no noise.
    - Every image has starting noises of its own: its given one, then fresh ones. None is used twice.
    - The threshold never moves; what an image ended at is in the record.
    """

    threshold: Annotated[float, "value of ||H_Delta s_Delta|| to get under, in score units"]
    steps: Annotated[int, "gradient steps at most from each starting noise; 0 only selects"] = 10
    candidates: Annotated[
        int, "starting noises tried for each image, the given one first; 1 only optimises"
    ] = 4
    learning_rate: Annotated[float, "learning rate of Adam"] = 0.05
    displacement: Annotated[float, "h, the length of the displacement of x"] = 0.1
    project: Annotated[bool, "whether x_T goes back to the sphere after each step"] = True
    name: ClassVar[str] = "SAIL corrected"

    def __post_init__(self) -> None:
        gradient.check(self.threshold, self.steps, self.learning_rate)
        if self.candidates < 1 or not self.displacement > 0:
            raise ValueError(
                "candidates must be 1 or more and displacement positive, "
                f"got {self.candidates} and {self.displacement}"
            )

    def objective(self, difference: RowDifference, x: Tensor, rows: Tensor) -> Tensor:
        """||H_Delta s_Delta|| of each row by a forward difference, `(b,)`."""
        s = difference(x, rows)
        moved = difference(x + self.displacement * unit(s), rows)
        return norms.of_product(moved - s, norms.of_score(s)) / self.displacement

    def __call__(self, task: Task) -> Mitigated:
        """Take each image's first starting noise that gets under the threshold, else its best."""
        grid = tuple(task.noise.shape[:2])
        starts = self._starts(task)
        conditions = task.prompts.repeated(math.prod(grid))
        x = task.noise.flatten(0, 1).clone()
        step = torch.full((len(x),), NEVER, device=x.device)
        best = torch.full((len(x),), torch.inf, dtype=torch.float64, device=x.device)
        start, passes, backward = (torch.zeros_like(step) for _ in range(3))
        for attempt in range(self.candidates):
            rows = (step == NEVER).nonzero().flatten()
            if not len(rows):
                break
            difference = RowDifference(task.model, task.t, conditions[rows])
            found = descend(
                partial(self.objective, difference),
                starts[attempt][rows],
                threshold=self.threshold,
                steps=self.steps,
                optimizer=partial(torch.optim.Adam, lr=self.learning_rate),
                project=to_sphere if self.project else None,
                progress=task.progress,
                label=f"{self.name}, noise {attempt + 1} of {self.candidates}",
            )
            passes[rows] += 4 * found.evaluations
            backward[rows] += 4 * found.gradients
            better = found.objective < best[rows]
            taken = rows[better]
            x[taken], best[taken], step[taken] = (
                part[better] for part in (found.found, found.objective, found.step)
            )
            start[taken] = attempt
        return recorded(
            task,
            noise=x.unflatten(0, grid),
            step=step.reshape(grid),
            candidate=start.cpu().reshape(grid) * grid[1] + torch.arange(grid[1]),
            objective=best.reshape(grid),
            threshold=torch.full(grid, self.threshold, dtype=torch.float64),
            passes=passes.reshape(grid).sum(1),
            backward=backward.reshape(grid).sum(1),
        )

    def _starts(self, task: Task) -> Tensor:
        """`(candidates, P n, *sample_shape)`: the given noises, then fresh ones."""
        n = task.noise.shape[1]
        fresh = [
            task.model.noise((self.candidates - 1) * n, generator).to(task.noise).unflatten(0, (-1, n))
            for generator in task.generators
        ]
        return torch.cat([task.noise[None], torch.stack(fresh, dim=1)]).flatten(1, 2)


def to_sphere(x: Tensor) -> Tensor:
    """Rows brought to the length sqrt(d), that of a standard normal vector of d entries up to O(1)."""
    return unit(x) * math.sqrt(x[0].numel())
