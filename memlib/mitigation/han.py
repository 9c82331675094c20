"""Per-sample adjustment of the initial noise (Han et al. 2025)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar

import torch
from torch import Tensor

from memlib.mitigation import gradient
from memlib.mitigation.objectives import RowDifference
from memlib.mitigation.record import Mitigated, Task
from memlib.sharpness import norms


@dataclass(frozen=True)
class NoiseAdjustment:
    """Minimise ||eps(x_T, c) - eps(x_T)|| over x_T with AdamW, each noise by itself (Han et al. 2025)."""

    threshold: Annotated[
        float,
        "norm to get under, of a noise prediction; 0.7 to 1.5 for Stable Diffusion 1.4, 5 to 20 for 2.0",
    ]
    steps: Annotated[int, "gradient steps at most; the authors name none"] = 50
    learning_rate: Annotated[float, "learning rate of AdamW; 0.01 for Stable Diffusion 1.4, 0.1 for 2.0"] = (
        0.01
    )
    name: ClassVar[str] = "noise adjustment"

    def __post_init__(self) -> None:
        gradient.check(self.threshold, self.steps, self.learning_rate)

    def __call__(self, task: Task) -> Mitigated:
        """Adjust every noise."""

        def objective(difference: RowDifference, x: Tensor, rows: Tensor) -> Tensor:
            return difference.sigma * norms.of_score(difference(x, rows))

        return gradient.on_noise(
            task,
            objective,
            passes=2,
            threshold=self.threshold,
            steps=self.steps,
            optimizer=partial(torch.optim.AdamW, lr=self.learning_rate),
            label=self.name,
        )
