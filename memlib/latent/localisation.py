"""Where in a latent something is memorized: maps over its cells, and how well a map finds a known region.

A map is a number per latent cell, larger where memorization is suspected. The maps here are those of Kim
& Lee (2026, 2605.26756: coordinate-wise curvature differences, squared score differences) and of Chen et
al. (2025: attention to the end mark).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float, Float64
from scipy import stats
from torch import Tensor
from torch.nn import functional

from memlib import checks
from memlib.hessian import JacobianOperator, diagonal
from memlib.latent.attention import cross_attention

if TYPE_CHECKING:
    from memlib.latent.model import TextToImage
    from memlib.latent.prompts import Prompts

_FIRST_BLOCK = "down_blocks.0."
_CUTS = 512  # candidates for a threshold


def latent_mask(region: Bool[Tensor, "H W"], size: tuple[int, int]) -> Bool[Tensor, "h w"]:
    """The cells of a latent of `size` all of whose pixels lie in `region`.

    Raises:
        ValueError: pixels do not divide evenly among the cells.
    """
    (height, width), (h, w) = region.shape, size
    if height % h or width % w:
        raise ValueError(f"{height} x {width} pixels do not divide into {h} x {w} cells")
    return region.reshape(h, height // h, w, width // w).all(3).all(1)


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
    with JacobianOperator(model.difference(t, prompts), x.flatten(0, 1), chunk_size=rows) as op:
        found: Tensor = diagonal(op, probes).value.reshape(x.shape)
    return found.cpu()


@torch.no_grad()
def score_map(
    model: TextToImage, t: int, prompts: Prompts, x: Float[Tensor, "P n ..."]
) -> Float64[Tensor, "P n h w"]:
    """The squared score difference, summed over channels."""
    gap: Tensor = model.difference(t, prompts)(x.flatten(0, 1)).double()
    squared: Tensor = gap.square().sum(1).unflatten(0, x.shape[:2])
    return squared.cpu()


@torch.no_grad()
def attention_map(
    model: TextToImage, t: int, prompts: Prompts, x: Float[Tensor, "P n ..."], *, block: str = _FIRST_BLOCK
) -> Float64[Tensor, "P n h w"]:
    """What each cell attends to the end mark of its caption, a mean over heads and layers.

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


def overlap(maps: Float[Tensor, "B h w"], masks: Bool[Tensor, "B h w"]) -> Float64[Tensor, " B"]:
    """Intersection over union of each mask with as many of its map's largest cells as the mask has.

    Knowing that number is an advantage that no one has in practice, and the same for every map. Ties are
    broken by a fixed random order. `chance_overlap` is what a map without information gets.
    """
    values, truth = _flat(maps, masks)
    order = torch.randperm(values.shape[1], generator=torch.Generator().manual_seed(0))
    ranks = torch.empty_like(values, dtype=torch.int64)
    places = order[values[:, order].argsort(dim=1, descending=True, stable=True)]
    ranks.scatter_(1, places, torch.arange(values.shape[1]).expand_as(places))
    return _intersection_over_union(ranks < truth.sum(1, keepdim=True), truth)


def chance_overlap(masks: Bool[Tensor, "B h w"]) -> Float64[Tensor, " B"]:
    """The mean of `overlap` over all orders of the cells."""
    cells = masks[0].numel()
    means = []
    for k in masks.flatten(1).sum(1).tolist():
        hits = range(max(0, 2 * k - cells), k + 1)
        means.append(sum(stats.hypergeom.pmf(i, cells, k, k) * i / (2 * k - i) for i in hits))
    return torch.tensor(means, dtype=torch.float64)


def separation(maps: Float[Tensor, "B h w"], masks: Bool[Tensor, "B h w"]) -> Float64[Tensor, " B"]:
    """Probability that a cell inside the mask has a larger value than one outside, ties half."""
    values, truth = _flat(maps, masks)
    ranks = torch.as_tensor(stats.rankdata(values.numpy(), axis=1))
    inside = truth.sum(1).double()
    outside = truth.shape[1] - inside
    return ((ranks * truth).sum(1) - inside * (inside + 1) / 2) / (inside * outside)


def best_threshold(maps: Float[Tensor, "B h w"], masks: Bool[Tensor, "B h w"]) -> float:
    """The one cut above which cells have the largest mean intersection over union with the masks."""
    values, truth = _flat(maps, masks)
    shares = torch.linspace(0, 1, _CUTS, dtype=torch.float64)
    cuts = torch.quantile(values, shares, interpolation="lower")
    means = torch.stack([_intersection_over_union(values > cut, truth).mean() for cut in cuts])
    return float(cuts[means.argmax()])


def held_out_overlap(
    maps: Float[Tensor, "B h w"], masks: Bool[Tensor, "B h w"], groups: Float[Tensor, " B"]
) -> Float64[Tensor, " B"]:
    """Intersection over union at a threshold that never saw the map: the best for maps of all other groups.

    Args:
        maps: the maps.
        masks: their masks.
        groups: a number per map; maps of one caption belong to one group.
    """
    found = torch.empty(len(maps), dtype=torch.float64)
    for group in groups.unique():
        mine = groups == group
        if mine.all():
            raise ValueError("a held-out threshold needs maps of at least 2 groups, got 1")
        cut = best_threshold(maps[~mine], masks[~mine])
        values, truth = _flat(maps[mine], masks[mine])
        found[mine] = _intersection_over_union(values > cut, truth)
    return found


def _intersection_over_union(chosen: Tensor, truth: Tensor) -> Tensor:
    return (chosen & truth).sum(1).double() / (chosen | truth).sum(1)


def _flat(maps: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Both as `(B, cells)` on the CPU, once every mask has an inside and an outside."""
    checks.batched("maps", maps)
    if maps.shape != masks.shape or maps.ndim != 3 or masks.dtype != torch.bool:
        raise ValueError(
            f"maps and boolean masks must both be (B, h, w), got {tuple(maps.shape)} and "
            f"{tuple(masks.shape)} {masks.dtype}"
        )
    truth = masks.flatten(1).cpu()
    if truth.all(1).any() or not truth.any(1).all():
        raise ValueError("every mask must have cells inside and outside; leave the others out")
    return maps.flatten(1).double().cpu(), truth


def _enlarged(attention: Float[Tensor, "B pixels"], size: torch.Size) -> Float64[Tensor, "B h w"]:
    """A layer's values on the grid of the latents; layers keep the proportions of the latents."""
    height = round((attention.shape[1] * size[0] / size[1]) ** 0.5)
    grid = attention.double().unflatten(1, (height, -1))
    return functional.interpolate(grid[:, None], size=tuple(size), mode="nearest")[:, 0]
