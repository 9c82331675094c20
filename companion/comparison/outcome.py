"""How near images are to what was copied, and how far from each other."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from memlib import checks


def similarity(
    x: Float[Tensor, "N ..."],
    target: Float[Tensor, "M ..."],
    centre: Float[Tensor, ...],
    where: Bool[Tensor, "H W"] | None = None,
) -> Float64[Tensor, " N"]:
    """Cosine between x and the target, the mean of ordinary ones taken off both; of several the largest.

    Without the mean, any two images are alike because both are images.

    Args:
        x: images, latents or features.
        target: what they are compared with, the same shape.
        centre: the mean over ordinary ones, the shape of one.
        where: pixels of the last two axes that count; None counts all.

    Raises:
        ValueError: shapes that do not fit, or values that are not finite.

    Example:
        >>> x, target = torch.tensor([[1.0, 0.0], [0.0, -2.0]]), torch.tensor([[3.0, 0.0]])
        >>> similarity(x, target, torch.zeros(2)).round(decimals=9).tolist()
        [1.0, 0.0]
    """
    checks.batched("x", x)
    shape = tuple(x.shape[1:])
    checks.batched("target", target, shape)
    if tuple(centre.shape) != shape:
        raise ValueError(f"centre must have the shape {shape} of one sample, got {tuple(centre.shape)}")
    weight = torch.ones(()) if where is None else where
    a, b = (((y - centre) * weight).flatten(1).double() for y in (x, target))
    products = a @ b.T / (a.norm(dim=1)[:, None] * b.norm(dim=1)).clamp(min=torch.finfo(torch.float64).tiny)
    largest: Tensor = products.amax(1)
    return largest


def diversity(x: Float[Tensor, "n ..."]) -> float:
    """Mean distance between two of the images of one prompt, a root mean square over their entries.

    Raises:
        ValueError: fewer than two images, or values that are not finite.

    Example:
        >>> diversity(torch.tensor([[0.0, 0.0], [1.0, 1.0], [1.0, 1.0]]))  # doctest: +ELLIPSIS
        0.66...
    """
    checks.batched("x", x)
    if len(x) < 2:
        raise ValueError(f"diversity is of two images or more, got {len(x)}")
    distances: Tensor = torch.pdist(x.flatten(1).double())
    return float(distances.mean() / x[0].numel() ** 0.5)
