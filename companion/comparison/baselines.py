"""Baselines that a mitigation has to beat: other noise at its price, and a random move of its length."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from memlib.mitigation import Mitigated, Record, Task
from memlib.mitigation.objectives import unit
from memlib.mitigation.record import recorded
from memlib.sharpness import norms


@dataclass(frozen=True)
class Redrawn:
    """Of several fresh noises for each image the one with the smallest ||s_Delta||; the given one is dropped.

    Attributes:
        candidates: fresh noises of each image, at least 1; a single one is taken as it comes.
    """

    candidates: int = 1

    def __post_init__(self) -> None:
        if self.candidates < 1:
            raise ValueError(f"candidates must be at least 1, got {self.candidates}")

    @classmethod
    def at_the_price_of(cls, record: Record) -> Redrawn:
        """As many as the rows through the network pay for that a method took for an image, on average.

        A score difference takes two rows. What went backward counts as forward, to the method's favour.
        """
        images = record.step.numel()
        return cls(max(1, round(float(record.passes.sum()) / images / 2)))

    @property
    def name(self) -> str:
        """For tables and messages."""
        return "redrawn"

    def __call__(self, task: Task) -> Mitigated:
        """Draw and choose."""
        count, n = task.noise.shape[:2]
        drawn = torch.stack(
            [task.model.noise(n * self.candidates, generator).to(task.noise) for generator in task.generators]
        ).unflatten(1, (n, self.candidates))
        if self.candidates == 1:
            return recorded(task, noise=drawn[:, :, 0])
        with torch.no_grad():
            difference = task.model.difference(task.t, task.prompts)(drawn.flatten(0, 2))
        found = norms.of_score(difference)
        sizes, best = found.unflatten(0, (count, n, self.candidates)).min(2)
        index = best.view(count, n, *[1] * (drawn.ndim - 2)).expand(-1, -1, 1, *drawn.shape[3:])
        return recorded(
            task,
            noise=drawn.gather(2, index)[:, :, 0],
            objective=sizes.double().cpu(),
            passes=torch.full((count,), 2 * n * self.candidates),
        )


@dataclass(frozen=True, eq=False)
class RandomMove:
    """Every noise moved as far as a method moved it, and as much along itself, but across in a random way.

    So the move and the noise after it have the lengths that they had under the method. Where the method
    started anew from another noise, this moves the given one to the length and at the distance of that.

    Attributes:
        moved: caption -> the noises `(n, *sample_shape)` that a method returned for it.
    """

    moved: Mapping[str, Float[Tensor, "n ..."]] = field(repr=False)

    @classmethod
    def like(cls, mitigated: Mitigated) -> RandomMove:
        """With the moves of a method that changed the noise."""
        return cls(dict(zip(mitigated.prompts.captions, mitigated.noise, strict=True)))

    @property
    def name(self) -> str:
        """For tables and messages."""
        return "random move"

    def __call__(self, task: Task) -> Mitigated:
        """Move.

        Raises:
            ValueError: a caption or a number of noises that the method was not applied to.
        """
        parts = []
        for caption, given, generator in zip(task.prompts.captions, task.noise, task.generators, strict=True):
            after = self.moved.get(caption)
            if after is None or after.shape != given.shape:
                raise ValueError(
                    f"the moves are of {len(self.moved)} captions and their noises; for {caption!r} expected "
                    f"{tuple(given.shape)}, got {None if after is None else tuple(after.shape)}"
                )
            parts.append(_turned(given.flatten(1), after.to(given).flatten(1), generator).view_as(given))
        return recorded(task, noise=torch.stack(parts))


def _turned(
    given: Float[Tensor, "n d"], after: Float[Tensor, "n d"], generator: torch.Generator
) -> Float[Tensor, "n d"]:
    """`after` with its part across `given` turned to a random direction across it."""
    own = unit(given)
    along = (after * own).sum(1, keepdim=True) * own
    drawn = torch.randn(given.shape, generator=generator).to(given)
    across = unit(drawn - (drawn * own).sum(1, keepdim=True) * own)
    found: Tensor = along + (after - along).norm(dim=1, keepdim=True) * across
    return found
