"""SAIL as printed (Jeon et al. 2025, section 5, algorithm 2); for work use `memlib.mitigation.Sail`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal, get_args

import torch
from torch import Tensor

from memlib.mitigation import gradient
from memlib.mitigation.objectives import RowDifference, norm, unit
from memlib.mitigation.record import Mitigated, Task
from memlib.sharpness import norms

Term = Literal["gain", "difference"]
Penalty = Literal["norm", "squared"]


@dataclass(frozen=True)
class SailPrinted:
    """Minimise ||s_Delta(x + delta s_Delta(x)) - s_Delta(x)||^2 + alpha ||x|| over x_T.

    Jeon et al. (2025, algorithm 2). Scores in score units; delta = 1 / ||s_Delta||, taken anew at every x, so
    that the displacement has length one; the gradient goes through both terms of the difference and through
    the displacement.
    """

    threshold: Annotated[
        float,
        "l_thres, which the whole objective gets under; 7.6 to 9 for Stable Diffusion 1.4, where alpha "
        "||x_T|| is about 6.4 of it, 4 to 6 for 2.0",
    ]
    alpha: Annotated[float, "weight of the penalty; 0.05 for Stable Diffusion 1.4, 0.01 for 2.0"] = 0.05
    steps: Annotated[int, "gradient steps at most; the algorithm names no bound"] = 10
    learning_rate: Annotated[float, "learning rate of Adam"] = 0.05
    term: Annotated[
        Term,
        '"gain" as above; "difference" puts ||s_Delta||^2 in place of the first term, which is said '
        "to fail to converge",
    ] = "gain"
    penalty: Annotated[
        Penalty,
        'alpha times the "norm" of x, as algorithm 2 prints and its thresholds need, or times the '
        '"squared" norm, as the text has it',
    ] = "norm"

    def __post_init__(self) -> None:
        gradient.check(self.threshold, self.steps, self.learning_rate)
        if self.term not in get_args(Term) or self.penalty not in get_args(Penalty):
            raise ValueError(
                f"term must be one of {list(get_args(Term))} and penalty of {list(get_args(Penalty))}, "
                f"got {self.term!r} and {self.penalty!r}"
            )

    @property
    def name(self) -> str:
        """For tables and messages."""
        return "SAIL as printed" if self.term == "gain" else "SAIL with the score difference"

    def objective(self, difference: RowDifference, x: Tensor, rows: Tensor) -> Tensor:
        """The objective of each row, `(b,)`."""
        s = difference(x, rows)
        if self.term == "difference":
            term = norms.of_score(s).square()
        else:
            term = norms.of_product(difference(x + unit(s), rows) - s).square()
        size = norm(x)
        return term + self.alpha * (size if self.penalty == "norm" else size.square())

    def __call__(self, task: Task) -> Mitigated:
        """Move every noise."""
        return gradient.on_noise(
            task,
            self.objective,
            passes=4 if self.term == "gain" else 2,
            threshold=self.threshold,
            steps=self.steps,
            optimizer=partial(torch.optim.Adam, lr=self.learning_rate),
            label=self.name,
        )
