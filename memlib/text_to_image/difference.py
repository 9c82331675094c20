"""Conditional minus unconditional score of a text-to-image model, with the passes it needs and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from memlib import checks
from memlib.score import Score, ScoreDifference

if TYPE_CHECKING:
    from memlib.text_to_image.model import TextToImage
    from memlib.text_to_image.prompts import Prompts


class JointDifference(ScoreDifference):
    """s_Delta of a model under prompts; one pass of a doubled batch gives both halves.

    Args:
        model: the text-to-image model.
        t: time index.
        prompts: P prompts; a batch holds the samples of each in a row.
    """

    def __init__(self, model: TextToImage, t: int, prompts: Prompts) -> None:
        super().__init__(model.score(t, prompts), model.score(t))
        self.model, self.t, self.prompts = model, t, prompts
        self.fn = self._difference

    def both(self, x: Float[Tensor, "B ..."]) -> tuple[Tensor, Tensor]:
        """The conditional and the unconditional score at x."""
        rows = len(x)
        text = torch.cat([self.prompts.repeated(rows), self.model.empty.repeated(rows)])
        conditional, unconditional = self.model.scores(self.t, torch.cat([x, x]), text).chunk(2)
        return conditional, unconditional

    def _difference(self, x: Tensor) -> Tensor:
        conditional, unconditional = self.both(x)
        return conditional - unconditional


class SharedNoiseDifference(JointDifference):
    """The same where all prompts start from the same noise: the unconditional score there is computed once.

    Anywhere else, and wherever a gradient is wanted, it is a `JointDifference`.

    Args:
        model: the text-to-image model.
        t: time index.
        prompts: P prompts.
        noise: `(n, *sample_shape)`, shared by all prompts.
    """

    def __init__(self, model: TextToImage, t: int, prompts: Prompts, noise: Float[Tensor, "n ..."]) -> None:
        super().__init__(model, t, prompts)
        self.noise = checks.batched("noise", noise, model.sample_shape).detach()
        with torch.no_grad():
            self._known = self.unconditional(self.noise)

    def under(self, prompts: Prompts) -> SharedNoiseDifference:
        """The same for other prompts, with what is known of the noise."""
        other = object.__new__(SharedNoiseDifference)
        JointDifference.__init__(other, self.model, self.t, prompts)
        other.noise, other._known = self.noise, self._known
        return other

    def both(self, x: Float[Tensor, "B ..."]) -> tuple[Tensor, Tensor]:
        """The conditional and the unconditional score at x."""
        if (torch.is_grad_enabled() and x.requires_grad) or not self._is_noise(x):
            return super().both(x)
        return self.conditional(x), self._known.repeat(len(x) // len(self.noise), 1, 1, 1)

    def _is_noise(self, x: Tensor) -> bool:
        copies, rest = divmod(len(x), len(self.noise))
        return rest == 0 and torch.equal(x, self.noise.repeat(copies, 1, 1, 1))


def remembering(score: Score, x: Float[Tensor, "B ..."], value: Float[Tensor, "B ..."]) -> Score:
    """The same score with its value at `x` at hand; elsewhere, and for a gradient, it is computed."""

    def fn(at: Tensor) -> Tensor:
        if (torch.is_grad_enabled() and at.requires_grad) or not torch.equal(at, x):
            return score(at)
        return value

    return Score(fn, alpha=score.alpha, sigma=score.sigma, name=score.name)
