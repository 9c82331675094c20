"""How well a map over the cells of a latent finds a region that is known to be memorized."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Float64
from scipy import stats
from torch import Tensor

from memlib import checks

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


def by_caption(
    measure: Callable[[Tensor, Tensor], Tensor],
    maps: Float[Tensor, "P n h w"],
    masks: Bool[Tensor, "P h w"],
) -> Float64[Tensor, " P"]:
    """The mean of a measure over the maps at n points of each caption.

    Args:
        measure: `overlap` or `separation`.
        maps: the maps of P captions.
        masks: their masks.
    """
    n = maps.shape[1]
    found: Tensor = measure(maps.flatten(0, 1), masks.repeat_interleave(n, 0)).unflatten(0, (-1, n)).mean(1)
    return found


def held_out_by_caption(
    maps: Float[Tensor, "P n h w"], masks: Bool[Tensor, "P h w"]
) -> Float64[Tensor, " P"]:
    """`held_out_overlap` where the captions are the groups, mean over the n points of each."""
    groups = torch.arange(len(maps)).repeat_interleave(maps.shape[1])
    return by_caption(lambda some, known: held_out_overlap(some, known, groups), maps, masks)


def judged(maps: Float[Tensor, "P n h w"], masks: Bool[Tensor, "P h w"]) -> dict[str, Float64[Tensor, " P"]]:
    """How well maps find the masks, three ways: "area" (`separation`), "iou" (`overlap`) and "held_out"."""
    return {
        "area": by_caption(separation, maps, masks),
        "iou": by_caption(overlap, maps, masks),
        "held_out": held_out_by_caption(maps, masks),
    }


def flagged(
    maps: Float[Tensor, "P n h w"], masks: Bool[Tensor, "P h w"], others: Float[Tensor, "Q n h w"]
) -> Float64[Tensor, " Q"]:
    """Share of cells of other captions' maps above the cut that is best for these.

    Args:
        maps: of captions whose masks are known.
        masks: their masks.
        others: maps of other captions, of which the first of each caption is used.
    """
    cut = best_threshold(maps.flatten(0, 1), masks.repeat_interleave(maps.shape[1], 0))
    shares: Tensor = (others[:, 0] > cut).flatten(1).double().mean(1)
    return shares


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
    sizes, size = masks.flatten(1).sum(1).unique(return_inverse=True)
    for k in sizes.tolist():
        hits = range(max(0, 2 * k - cells), k + 1)
        means.append(sum(stats.hypergeom.pmf(i, cells, k, k) * i / (2 * k - i) for i in hits))
    return torch.tensor(means, dtype=torch.float64)[size]


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

    Raises:
        ValueError: maps of fewer than two groups.
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
