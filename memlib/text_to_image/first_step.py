"""The paper's statistic and the one before it, from one denoising step, for many prompts that share noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Float64
from torch import Tensor
from tqdm import tqdm

from memlib.hessian import JacobianOperator, Product
from memlib.text_to_image.difference import SharedNoiseDifference

if TYPE_CHECKING:
    from memlib.text_to_image.model import TextToImage
    from memlib.text_to_image.prompts import Prompts


@dataclass(frozen=True, eq=False)
class OneStep:
    """Statistics at one time, per prompt and seed.

    Attributes:
        t: the time index.
        difference: `(P, n)` float64 ||s_Delta||, in score units (Wen et al. 2024 measure sigma times this).
        curvature: `(P, n)` float64 ||H_Delta s_Delta|| (the paper, section 4.3, takes its square).
        product: which product with the Jacobian H_Delta.
    """

    t: int
    difference: Float64[Tensor, "P n"]
    curvature: Float64[Tensor, "P n"]
    product: Product


def one_step(
    model: TextToImage,
    prompts: Prompts,
    noise: Float[Tensor, "n ..."],
    *,
    t: int | None = None,
    product: Product = "difference",
    rows: int = 64,
    shared: SharedNoiseDifference | None = None,
    progress: bool = False,
) -> OneStep:
    """||s_Delta|| and ||H_Delta s_Delta|| of every prompt at every noise.

    "difference" needs three passes per prompt and seed, and one per seed for all prompts together. Its
    error is the rounding of the score over the step, sqrt(eps) ||x||.

    Args:
        model: the text-to-image model.
        prompts: P prompts.
        noise: n points that all prompts share, for instance `model.noise(n, generator)`.
        t: time index; None takes the first of 50 steps.
        product: which product with the Jacobian; the products differ, because it is not symmetric.
        rows: prompts times seeds in one pass (twice that in a doubled one), at least one prompt; bounds the
            memory.
        shared: a difference at the same time and noise, which brings the unconditional scores there; None
            computes them, once for all prompts.
        progress: show a progress bar.

    Raises:
        ValueError: `rows` below 1, or forward differences in half precision.

    Example (of a model in a folder):
        ``one_step(model, model.encode(["a cat"]), model.noise(4, torch.Generator().manual_seed(0)))``
    """
    if rows < 1:
        raise ValueError(f"rows must be at least 1, got {rows}")
    check_product(model, product)
    t = model.timesteps()[0] if t is None else t
    together = max(1, rows // len(noise))
    # A single prompt shares with nobody: one doubled pass is then faster than two.
    if shared is None and len(prompts) > 1:
        shared = SharedNoiseDifference(model, t, prompts[:1], noise)
    differences, curvatures = [], []
    for start in tqdm(range(0, len(prompts), together), desc="prompts", disable=not progress):
        some = prompts[start : start + together]
        gap = model.difference(t, some) if shared is None else shared.under(some)
        with JacobianOperator(gap, some.tiled(noise), product=product, check=False) as op:
            curvatures.append(torch.linalg.vector_norm(op.matvec(op.value), dim=1))
            differences.append(torch.linalg.vector_norm(op.value, dim=1))
    difference, curvature = (prompts.grouped(torch.cat(parts)) for parts in (differences, curvatures))
    return OneStep(t, difference, curvature, product)


def check_product(model: TextToImage, product: Product) -> None:
    """Raise `ValueError` for forward differences in half precision, which hold nothing but rounding."""
    if product == "difference" and torch.finfo(model.dtype).eps > torch.finfo(torch.float32).eps:
        raise ValueError(
            f"product='difference' of scores in {model.dtype} is rounding error; "
            "use product='vjp', or load the model with dtype=torch.float32"
        )
