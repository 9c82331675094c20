"""How recipes draw their batches."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from companion.fitting.loop import Draw


def with_replacement(samples: Float[Tensor, "N ..."], labels: Int64[Tensor, " N"] | None = None) -> Draw:
    """Every sample of a batch is one of the N, each as likely as any other, whatever was drawn before.

    Raises:
        ValueError: not one label for each sample.

    Example:
        >>> x, label = with_replacement(torch.ones(2, 3), torch.zeros(2))(5, torch.Generator())
        >>> x.shape, label.shape
        (torch.Size([5, 3]), torch.Size([5]))
    """
    if labels is not None and len(labels) != len(samples):
        raise ValueError(f"each sample needs a label, got {len(labels)} for {len(samples)}")

    def draw(batch: int, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
        chosen = torch.randint(len(samples), (batch,), generator=generator)
        return samples[chosen], None if labels is None else labels[chosen]

    return draw
