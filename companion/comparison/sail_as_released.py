"""SAIL as released: what the authors' code does, which is not what the paper prints.

Read in github.com/Dongjae0324/sharpness_memorization_diffusion at commit f4ee4b8 and written anew. Against
`SailPrinted`:

- the objective is ||eps_Delta(x + u)|| + alpha ||x||: nothing is subtracted, nothing squared;
- it is in units of the noise prediction for models that predict it, and u is along eps_Delta, hence against
  s_Delta. For v-prediction the code's formula is s_Delta itself, and u is along it;
- u is computed in each step at the noise with which the round began (its gradient still reaches x);
- a pool of candidates is moved together, accepted ones go on; any that comes under the threshold is taken,
  without a step too, until there are as many as images are wanted;
- a round of ten steps that finds too few is run again from the same noises, twice, and takes the same
  candidates again; then the threshold rises by 0.1 and the noises are drawn anew, without end.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import cycle, islice
from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from memlib.mitigation import gradient
from memlib.mitigation.descent import NEVER, finite
from memlib.mitigation.objectives import RowDifference, norm, unit
from memlib.mitigation.record import Mitigated, Task, recorded
from memlib.sharpness import norms


@dataclass(frozen=True, eq=False)
class _Taken:
    noise: Tensor
    step: int
    candidate: int
    objective: float
    threshold: float


@dataclass(frozen=True)
class SailReleased:
    """The released loop, with an end: after `rounds` the best candidates fill what is missing.

    The given noises are the first of the pool; the rest is drawn.
    """

    threshold: Annotated[float, "threshold at first; 8.2 by default in the code for Stable Diffusion 1.4"]
    alpha: Annotated[float, "weight of the penalty; 0.05 for Stable Diffusion 1.4, 0.01 for 2.0"] = 0.05
    steps: Annotated[int, "gradient steps in a round"] = 10
    learning_rate: Annotated[float, "learning rate of Adam"] = 0.05
    pool: Annotated[int, "number of candidates moved at a time"] = 8
    repeats: Annotated[int, "rounds that begin from the same noises"] = 3
    rise: Annotated[float, "what is added to the threshold after each `repeats` rounds"] = 0.1
    rounds: Annotated[int, "rounds at most, a bound that the released code lacks"] = 30

    def __post_init__(self) -> None:
        gradient.check(self.threshold, self.steps, self.learning_rate)
        if min(self.steps, self.pool, self.repeats, self.rounds) < 1 or not self.rise >= 0:
            raise ValueError(
                "steps, pool, repeats and rounds must be 1 or more and rise 0 or more, got "
                f"{self.steps}, {self.pool}, {self.repeats}, {self.rounds} and {self.rise}"
            )

    @property
    def name(self) -> str:
        """For tables and messages."""
        return "SAIL as released"

    def objective(self, difference: RowDifference, x: Tensor, start: Tensor, rows: Tensor) -> Tensor:
        """The objective of each row, `(b,)`, in a round that began at `start`."""
        stale = start.detach() + (x - x.detach())  # the value of one, the gradient of the other
        moved = x + unit(self._in_its_units(difference, stale, rows))
        return norms.of_score(self._in_its_units(difference, moved, rows)) + self.alpha * norm(x)

    def __call__(self, task: Task) -> Mitigated:
        """Find as many noises as were given, prompt by prompt."""
        n = task.noise.shape[1]
        results = [self._prompt(task, p) for p in tqdm(range(len(task.prompts)), disable=not task.progress)]
        taken, passes, backward = zip(*results, strict=True)

        def column(name: str, dtype: torch.dtype) -> Tensor:
            return torch.tensor([[getattr(one, name) for one in some] for some in taken], dtype=dtype)

        return recorded(
            task,
            noise=torch.stack([one.noise for some in taken for one in some]).unflatten(0, (-1, n)),
            step=column("step", torch.int64),
            candidate=column("candidate", torch.int64),
            objective=column("objective", torch.float64),
            threshold=column("threshold", torch.float64),
            passes=torch.tensor(passes),
            backward=torch.tensor(backward),
        )

    def _in_its_units(self, difference: RowDifference, x: Tensor, rows: Tensor) -> Tensor:
        s = difference(x, rows)
        return s if difference.model.prediction == "v" else -difference.sigma * s

    def _prompt(self, task: Task, p: int) -> tuple[list[_Taken], int, int]:
        """The noises taken for one prompt, rows through the U-Net, and of those with a gradient."""
        given, wanted = task.noise[p], len(task.noise[p])
        conditions = task.prompts[[p]].repeated(self.pool)
        difference = RowDifference(task.model, task.t, conditions)

        def draw(count: int) -> Tensor:
            return task.model.noise(count, task.generators[p]).to(given)

        taken: list[_Taken] = []
        best: dict[int, _Taken] = {}
        threshold, first, evaluations, gradients = self.threshold, 0, 0, 0
        pool = torch.cat([given, draw(max(0, self.pool - wanted))])[: self.pool]
        for number in range(self.rounds):
            if number and number % self.repeats == 0:
                threshold, first = threshold + self.rise, max(wanted, self.pool) + first
                pool = draw(self.pool)
            spent = self._round(difference, pool, first, threshold, wanted, taken, best)
            evaluations, gradients = evaluations + spent[0], gradients + spent[1]
            if len(taken) >= wanted:
                break
        missing = max(0, wanted - len(taken))
        got = {one.candidate for one in taken}
        others = sorted((o for o in best.values() if o.candidate not in got), key=lambda o: o.objective)
        filled = list(islice(cycle([*taken, *others[:missing]]), wanted))  # again, if there are fewer
        return filled, 4 * self.pool * evaluations, 4 * self.pool * gradients

    def _round(
        self,
        difference: RowDifference,
        pool: Float[Tensor, "K ..."],
        first: int,
        threshold: float,
        wanted: int,
        taken: list[_Taken],
        best: dict[int, _Taken],
    ) -> tuple[int, int]:
        """Move the pool and note what comes under the threshold; returns evaluations and gradients spent."""
        x = pool.clone().requires_grad_()
        rows = torch.arange(len(pool), device=pool.device)
        optimizer = torch.optim.Adam([x], lr=self.learning_rate)
        seen: set[int] = set()  # of this round: another one takes them again
        for step in range(self.steps):
            values = self.objective(difference, x, pool, rows)
            for i, value in enumerate(finite(values, self.name).tolist()):
                under = value <= threshold
                one = _Taken(x[i].detach().clone(), step if under else NEVER, first + i, value, threshold)
                if under and i not in seen:
                    taken.append(one)
                    seen.add(i)
                if first + i not in best or value < best[first + i].objective:
                    best[first + i] = one
            if len(taken) >= wanted:
                return step + 1, step
            (x.grad,) = torch.autograd.grad(values.sum(), x)
            optimizer.step()
        return self.steps, self.steps
