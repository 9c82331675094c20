"""Optimisation of the prompt embedding (Wen et al. 2024)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar

import torch
from torch import Tensor

from memlib.mitigation import gradient
from memlib.mitigation.descent import descend
from memlib.mitigation.record import Mitigated, Task, recorded
from memlib.sharpness import norms


@dataclass(frozen=True)
class PromptEmbedding:
    """Minimise the mean of ||eps(x_T, c) - eps(x_T)|| over a prompt's noises, with AdamW on its embedding.

    Wen et al. (2024).
    """

    threshold: Annotated[
        float, "norm to get under, of a noise prediction; 1 to 5 for Stable Diffusion 1.4, 1 to 2 for 2.0"
    ]
    steps: Annotated[int, "gradient steps at most; 10 in the authors' code"] = 10
    learning_rate: Annotated[float, "learning rate of AdamW; 0.05 in the authors' code"] = 0.05
    name: ClassVar[str] = "prompt embedding"
    needs: ClassVar[str] = "text"

    def __post_init__(self) -> None:
        gradient.check(self.threshold, self.steps, self.learning_rate)

    def __call__(self, task: Task) -> Mitigated:
        """Change every prompt's embedding; the unconditional scores are computed once."""
        model, x = task.model, task.noise.to(task.model.dtype)
        grid = tuple(x.shape[:2])
        scale = model.level(task.t)["sigma"] * model.unit(task.t)
        with torch.no_grad():
            free = model.estimates(task.t, x.flatten(0, 1), model.empty.repeated(grid[0] * grid[1]))
        unconditional = free.unflatten(0, grid)

        def objective(embedding: Tensor, rows: Tensor) -> Tensor:
            changed = task.prompts[rows.tolist()].with_embeddings(embedding.to(model.dtype))
            text = changed.repeated(len(rows) * grid[1])
            found = model.estimates(task.t, x[rows].flatten(0, 1), text)
            difference = found - unconditional[rows].flatten(0, 1)
            lengths = scale * norms.of_score(difference.to(embedding.dtype))
            return lengths.reshape(-1, grid[1]).mean(1)

        found = descend(
            objective,
            task.prompts.embeddings,
            threshold=self.threshold,
            steps=self.steps,
            optimizer=partial(torch.optim.AdamW, lr=self.learning_rate),
            progress=task.progress,
            label=self.name,
        )
        return recorded(
            task,
            prompts=task.prompts.with_embeddings(found.found),
            step=found.step[:, None].expand(grid),
            objective=found.objective[:, None].expand(grid),
            threshold=torch.full(grid, self.threshold, dtype=torch.float64),
            passes=grid[1] * (1 + found.evaluations),
            backward=grid[1] * found.gradients,
        )
