"""What the methods minimise: norms of the score difference of rows, each under a text of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from memlib.text_to_image import Conditions

if TYPE_CHECKING:
    from memlib.text_to_image import TextToImage


class RowDifference:
    """s_Delta at one time, for a batch of which every row has its own text.

    Args:
        model: the text-to-image model.
        t: time index.
        conditions: B rows.
    """

    def __init__(self, model: TextToImage, t: float, conditions: Conditions) -> None:
        self.model, self.t, self.conditions = model, t, conditions
        self.sigma, self.unit = model.level(t)["sigma"], model.unit(t)

    def __call__(self, x: Float[Tensor, "b ..."], rows: Tensor) -> Float[Tensor, "b ..."]:
        """Conditional minus unconditional score of some rows, from one doubled pass, in the dtype of x."""
        text = Conditions.joined([self.conditions[rows], self.model.empty.repeated(len(x))])
        found = self.model.estimates(self.t, torch.cat([x, x]).to(self.model.dtype), text)
        conditional, unconditional = found.to(x.dtype).chunk(2)
        return self.unit * (conditional - unconditional)


def norm(x: Float[Tensor, "B ..."]) -> Float[Tensor, " B"]:
    """Euclidean length of every row."""
    length: Tensor = torch.linalg.vector_norm(x.flatten(1), dim=1)
    return length


def unit(x: Float[Tensor, "B ..."]) -> Float[Tensor, "B ..."]:
    """Rows of length one; a zero row stays zero, as for a prompt without text."""
    length = norm(x).clamp(min=torch.finfo(x.dtype).tiny)
    return x / length.reshape(-1, *[1] * (x.ndim - 1))
