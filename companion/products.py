"""||H_Delta s_Delta|| by each product with the Jacobian, side by side: its values and what they cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import numpy as np
from jaxtyping import Float, Float64
from torch import Tensor

from companion import effects
from memlib import intervals
from memlib.hessian import Product
from memlib.intervals import Interval
from memlib.text_to_image import Prompts, TextToImage, one_step


@dataclass(frozen=True, eq=False)
class ByProduct:
    """The statistic by one product.

    Attributes:
        norms: `(P, n)` float64 ||H_Delta s_Delta||.
        forward: rows that went through the U-Net per prompt and seed, a row with its condition and one
            without counted as two.
        backward: rows that went back through it, likewise.
    """

    norms: Float64[Tensor, "P n"]
    forward: float
    backward: float


@dataclass(frozen=True)
class Agreement:
    """How two products agree over prompts, from means over seeds except where said otherwise.

    Attributes:
        ratio: median over prompts of first over second.
        largest: largest relative difference |first - second| / second over prompts and seeds.
        rank: Spearman's correlation over prompts.
    """

    ratio: Interval
    largest: float
    rank: Interval


def by_product(
    model: TextToImage,
    prompts: Prompts,
    noise: Float[Tensor, "n ..."],
    product: Product,
    *,
    t: int | None = None,
    rows: int = 64,
) -> ByProduct:
    """||H_Delta s_Delta|| of every prompt at every noise, and the passes it takes.

    Values and passes are those of `memlib.text_to_image.one_step`.

    Args:
        model: the text-to-image model.
        prompts: P prompts.
        noise: n points that all prompts share.
        product: with the Jacobian.
        t: time index; None takes the first of 50 steps.
        rows: prompts times seeds at a time, at least one prompt.

    Raises:
        ValueError: an unknown product, or one that the attention of the model has no rule for.
    """
    if product not in get_args(Product):
        raise ValueError(f"product must be one of {list(get_args(Product))}, got {product!r}")
    calls: list[int] = []
    counter = model.unet.register_forward_pre_hook(lambda _, inputs: calls.append(len(inputs[0])))
    try:
        found = one_step(model, prompts, noise, t=t, product=product, rows=rows)
    finally:
        counter.remove()
    points = len(prompts) * len(noise)
    return ByProduct(found.curvature.cpu(), sum(calls) / points, found.backward / points)


def agreement(
    first: Float64[Tensor, "P n"],
    second: Float64[Tensor, "P n"],
    *,
    level: float = 0.95,
    seed: int = 0,
) -> Agreement:
    """How the values of two products agree.

    Args:
        first: values of one product.
        second: values of the other.
        level: the coverage of the interval, in (0, 1).
        seed: the seed of the bootstrap.

    Raises:
        ValueError: other shapes, or fewer than 4 prompts.
    """
    if first.shape != second.shape or first.ndim != 2 or len(first) < 4:
        raise ValueError(
            f"values of the same 4 prompts or more, (P, n), expected, got {tuple(first.shape)} and "
            f"{tuple(second.shape)}"
        )
    a, b = first.mean(1).numpy(), second.mean(1).numpy()
    return Agreement(
        intervals.bootstrap((a / b,), np.median, level=level, seed=seed),
        float(((first - second).abs() / second).max()),
        effects.rank_correlation(a, b, level=level),
    )
