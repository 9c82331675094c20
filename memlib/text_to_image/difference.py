"""Conditional minus unconditional score of a text-to-image model, with the passes it needs and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from memlib.score import ScoreDifference
from memlib.text_to_image.conditions import Conditions

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

    def both(
        self, x: Float[Tensor, "B ..."], unconditional: Float[Tensor, "n ..."] | None = None
    ) -> tuple[Tensor, Tensor]:
        """The conditional and the unconditional score at x.

        Args:
            x: points.
            unconditional: the unconditional score where it is known, at n points that x repeats for every
                prompt; the pass is then not a doubled one.
        """
        if unconditional is not None:
            return self.conditional(x), self.prompts.tiled(unconditional)
        rows = len(x)
        text = Conditions.joined([self.prompts.repeated(rows), self.model.empty.repeated(rows)])
        conditional, unconditional = self.model.scores(self.t, torch.cat([x, x]), text).chunk(2)
        return conditional, unconditional

    def _difference(self, x: Tensor) -> Tensor:
        conditional, unconditional = self.both(x)
        return conditional - unconditional
