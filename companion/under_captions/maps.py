"""Maps over the cells of a latent, larger where memorization is suspected.

Those of Kim & Lee (2026, 2605.26756: coordinate-wise curvature differences, squared score differences) and of
Chen et al. (2025: attention to the end token).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Float64
from torch import Tensor
from torch.nn import functional

from memlib import checks
from memlib.hessian import JacobianOperator, diagonal
from memlib.text_to_image.attention import cross_attention

if TYPE_CHECKING:
    from memlib.text_to_image.model import TextToImage
    from memlib.text_to_image.prompts import Prompts

_FIRST_BLOCK = "down_blocks.0."


def all_maps(
    model: TextToImage, t: int, prompts: Prompts, x: Float[Tensor, "P n ..."], *, probes: int = 16
) -> dict[str, Float64[Tensor, "P n h w"]]:
    """Every map: "curvature" (estimated), "score", "attention" (first block), "attention_all" (all layers).

    Args:
        model: the text-to-image model.
        t: time index.
        prompts: P prompts.
        x: n points of each.
        probes: products behind the curvature.
    """
    return {
        "curvature": curvature_map(estimated_curvature(model, t, prompts, x, probes=probes)),
        "score": score_map(model, t, prompts, x),
        "attention": attention_map(model, t, prompts, x),
        "attention_all": attention_map(model, t, prompts, x, block=""),
    }


def curvature_map(diagonal_of_difference: Float[Tensor, "... C h w"]) -> Float64[Tensor, "... h w"]:
    """Where the condition sharpens: -diag(H_Delta) where positive, summed over channels.

    Args:
        diagonal_of_difference: the diagonal of the Jacobian of the score difference, from whole matrices
            (`CaptionSpectra.difference.diagonal`) or from `estimated_curvature`.
    """
    sharpened: Tensor = (-diagonal_of_difference.double()).clamp(min=0).sum(-3)
    return sharpened


def estimated_curvature(
    model: TextToImage,
    t: int,
    prompts: Prompts,
    x: Float[Tensor, "P n ..."],
    *,
    probes: int = 16,
    rows: int = 64,
) -> Float64[Tensor, "P n C h w"]:
    """The diagonal of the Jacobian of the score difference by Hutchinson's estimate, reverse products.

    Args:
        model: the text-to-image model.
        t: time index.
        prompts: P prompts.
        x: n points of each.
        probes: sign vectors, the same for all; 16 as published.
        rows: points times directions in one pass.
    """
    checks.batched("x", x.flatten(0, 1), model.sample_shape)
    with JacobianOperator(model.difference(t, prompts), x.flatten(0, 1), chunk_size=rows, check=False) as op:
        found: Tensor = diagonal(op, probes).value.reshape(x.shape)
    return found.cpu()


@torch.no_grad()
def score_map(
    model: TextToImage, t: int, prompts: Prompts, x: Float[Tensor, "P n ..."]
) -> Float64[Tensor, "P n h w"]:
    """The squared score difference, summed over channels."""
    difference: Tensor = model.difference(t, prompts)(x.flatten(0, 1)).double()
    squared: Tensor = difference.square().sum(1).unflatten(0, x.shape[:2])
    return squared.cpu()


@torch.no_grad()
def attention_map(
    model: TextToImage, t: int, prompts: Prompts, x: Float[Tensor, "P n ..."], *, block: str = _FIRST_BLOCK
) -> Float64[Tensor, "P n h w"]:
    """What each cell attends to the end token of its caption, a mean over heads and layers.

    Args:
        model: the text-to-image model.
        t: time index.
        prompts: P prompts.
        x: n points of each.
        block: layers whose name starts so; "" takes all, coarser ones enlarged. The published choice is the
            first down-sampling block.

    Raises:
        ValueError: no cross-attention layer has such a name.
    """
    with cross_attention(model.unet) as seen:
        model.score(t, prompts)(x.flatten(0, 1))
    layers = [layer for name, layer in seen.maps.items() if name.startswith(block)]
    if not layers:
        raise ValueError(f"no cross-attention layer starts with {block!r}; there are {list(seen.maps)}")
    end = (prompts.lengths - 1).repeat_interleave(x.shape[1]).to(x.device)
    size = x.shape[-2:]
    rows = torch.arange(len(end))
    mean = torch.stack([_enlarged(layer[rows, :, end], size) for layer in layers]).mean(0)
    found: Tensor = mean.unflatten(0, x.shape[:2])
    return found.cpu()


def _enlarged(attention: Float[Tensor, "B pixels"], size: torch.Size) -> Float64[Tensor, "B h w"]:
    """A layer's values on the grid of the latents; layers keep the proportions of the latents."""
    height = round((attention.shape[1] * size[0] / size[1]) ** 0.5)
    grid = attention.double().unflatten(1, (height, -1))
    return functional.interpolate(grid[:, None], size=tuple(size), mode="nearest")[:, 0]
