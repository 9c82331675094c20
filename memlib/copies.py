"""Which samples are copies of training images: the nearest training image against the second nearest.

A distance alone does not decide: flat images lie near everything. A copy lies much nearer to one image than
to any other, so the ratio of the two smallest distances is judged. It takes the training set, which a
statistic of sharpness does not have.

Duplicates in the training set hide copies from the ratio, because the second nearest image is then as near
as the nearest: remove them first, or give `groups`, for instance `twins`.

References:
    Yoon et al. (2023), Diffusion probabilistic models generalize when they fail to memorize, ICML 2023
    workshop on structured probabilistic inference (the ratio of the two distances, 1/3).
    Carlini et al. (2023), Extracting training data from diffusion models, USENIX Security (distance relative
    to those of many neighbours).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float64, Int64
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from memlib import checks

RATIO = 1 / 3
ROWS = 512  # points compared with the whole training set at once


@dataclass(frozen=True)
class Neighbours:
    """The nearest training image of each point.

    Attributes:
        distance: `(B,)` float64, Euclidean distance to the nearest training image.
        second: `(B,)` float64, to the second nearest; with `groups` the nearest one of another group.
        index: `(B,)` int64, of the nearest one.
    """

    distance: Float64[Tensor, " B"]
    second: Float64[Tensor, " B"]
    index: Int64[Tensor, " B"]

    @property
    def ratio(self) -> Float64[Tensor, " B"]:
        """`distance / second` in [0, 1]; 0 for a point that equals a training image, even one held twice."""
        return torch.where(self.distance == 0, 0.0, self.distance / self.second)


def nearest(
    points: Float[Tensor, "B ..."],
    training: Float[Tensor, "N ..."],
    *,
    exclude_self: bool = False,
    groups: Int64[Tensor, " N"] | None = None,
) -> Neighbours:
    """Find the nearest and second nearest training image of each point.

    Matrix products find the neighbours; their distances are computed again from differences, so that the
    distance of a copy is not lost in rounding.

    Args:
        points: images, finite.
        training: at least two finite images of the same shape.
        exclude_self: `points` are `training` itself, in its order, and no image counts as its own neighbour.
        groups: a number for each training image, the same for those that show the same thing.

    Raises:
        ValueError: for other shapes, or a training set (or groups) without a second nearest image.

    Example:
        >>> found = nearest(torch.tensor([[1.0]]), torch.tensor([[0.0], [2.0], [5.0]]))
        >>> round(found.distance.item(), 9), round(found.second.item(), 9)
        (1.0, 1.0)
    """
    checks.batched("training", training)
    checks.batched("points", points, tuple(training.shape[1:]))
    if exclude_self and len(points) != len(training):
        raise ValueError(
            f"exclude_self needs points that are the training set, {len(points)} are not {len(training)}"
        )
    own = torch.arange(len(training), device=training.device) if groups is None else groups
    if own.shape != (len(training),):
        raise ValueError(
            f"groups must have one number for each of {len(training)} images, got {tuple(own.shape)}"
        )
    # Of what is left for each point, one image at least must lie outside the group of the nearest.
    if len(torch.unique(own)) < 2 + exclude_self:
        raise ValueError(
            f"a second nearest image needs {2 + exclude_self} different training images, "
            f"got {len(training)} in {len(torch.unique(own))} groups"
        )
    known = training.flatten(1).double()
    parts = []
    for start in range(0, len(points), ROWS):
        part = slice(start, start + ROWS)
        itself = torch.arange(len(points), device=points.device)[part] if exclude_self else None
        parts.append(_nearest(points[part].flatten(1).double(), known, own, itself))
    return Neighbours(*(torch.cat(column) for column in zip(*parts, strict=True)))


def is_copy(neighbours: Neighbours, *, ratio: float = RATIO) -> Bool[Tensor, " B"]:
    """Whether the nearest training image is nearer than `ratio` times the second nearest (Yoon et al. 2023).

    Args:
        neighbours: the result of `nearest`, `(B,)`.
        ratio: the largest ratio of the two distances at which a point is a copy.
    """
    return neighbours.ratio < ratio


def allowed_ratio(neighbours: Neighbours, *, false_positive_rate: float = 0.01) -> float:
    """The largest ratio at which at most that share of real images held out would be called copies.

    Held-out images with a twin in the training set count as false positives and lower the threshold.

    Args:
        neighbours: the result of `nearest` for real images that the training set does not hold.
        false_positive_rate: the share of them that may be called copies, in [0, 1).

    Raises:
        ValueError: another false positive rate.

    Example:
        >>> training = torch.tensor([[0.0], [4.0]])
        >>> round(allowed_ratio(nearest(torch.tensor([[1.0], [1.5]]), training)), 3)
        0.333
    """
    if not 0 <= false_positive_rate < 1:
        raise ValueError(f"false_positive_rate must lie in [0, 1), got {false_positive_rate}")
    ratios = neighbours.ratio.sort().values
    return ratios[int(false_positive_rate * len(ratios))].item()


def twins(images: Float[Tensor, "N ..."], *, correlation: float = 0.9) -> Int64[Tensor, " N"]:
    """Number groups of near-duplicates: images joined by pairs whose pixels correlate above `correlation`.

    Each image is taken less its mean; one that is constant has no twin.

    Args:
        images: N images of one shape, finite.
        correlation: Pearson's, over pixels, above which two images are joined.

    Raises:
        ValueError: images that are not finite, or no batch.

    Example:
        >>> twins(torch.tensor([[0.0, 1.0, 5.0], [3.0, 1.0, 0.0], [0.1, 1.0, 5.2]])).tolist()
        [0, 1, 0]
    """
    pixels = checks.batched("images", images).flatten(1)
    pixels = torch.nn.functional.normalize(pixels - pixels.mean(dim=1, keepdim=True), dim=1)
    return joined(pixels, lambda some: some @ pixels.T > correlation)


def joined(
    items: Float[Tensor, "N d"], alike: Callable[[Float[Tensor, "B d"]], Bool[Tensor, "B N"]]
) -> Int64[Tensor, " N"]:
    """Number groups of items that pairs join, directly or through others; `ROWS` at once are held against N.

    Args:
        items: N vectors.
        alike: which of all items each of some is joined with.

    Returns:
        `(N,)` numbers from 0.

    Example:
        >>> items = torch.tensor([[0.0], [5.0], [1.0]])
        >>> joined(items, lambda some: torch.cdist(some, items) < 2).tolist()
        [0, 1, 0]
    """
    parts = [alike(some).nonzero().cpu() for some in items.split(ROWS)]
    rows = torch.cat([part[:, 0] + k * ROWS for k, part in enumerate(parts)])
    columns = torch.cat([part[:, 1] for part in parts])
    pairs = coo_array((torch.ones(len(rows)), (rows, columns)), shape=(len(items),) * 2)
    return torch.from_numpy(connected_components(pairs, directed=False)[1]).to(items.device, torch.int64)


def _nearest(
    points: Tensor, training: Tensor, groups: Tensor, itself: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    # |x - y|^2 less |x|^2, which orders the training images of each point.
    order = training.square().sum(1) - 2 * points @ training.T
    if itself is not None:
        order.scatter_(1, itself[:, None], torch.inf)
    first = order.argmin(dim=1)
    order.masked_fill_(groups == groups[first][:, None], torch.inf)
    second = order.argmin(dim=1)
    distances = [torch.linalg.vector_norm(points - training[index], dim=1) for index in (first, second)]
    # Equal distances can be ordered the other way round by rounding.
    return distances[0], torch.maximum(*distances), first
