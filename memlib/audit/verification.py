"""Which generated images are training images: the nearest one, against what an innocent model comes to.

A copy lies much nearer to one training image than to all others: in pixels, in latents, or in the features of
a vision model. How much nearer is calibrated on images that cannot be copies of this training set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Int64
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from memlib import copies, intervals
from memlib.audit.spaces import Space
from memlib.audit.training_set import opened
from memlib.copies import Neighbours
from memlib.intervals import Interval

_TOGETHER = 8  # images


@dataclass(frozen=True)
class Match:
    """The training images nearest to a generated one, by the space in which they are.

    Attributes:
        nearest: the position of the nearest training image.
        ratio: its distance over that to the nearest image of another group, in [0, 1].
        best: the space in which the ratio is smallest beside its threshold.
        reproduced: whether it is below the threshold there.
    """

    nearest: Mapping[str, int]
    ratio: Mapping[str, float]
    best: str
    reproduced: bool


class Library:
    """The training images, against which generated ones are held.

    Args:
        images: N files of training images, at least 2 groups of them.
        groups: `(N,)` images that look alike, which hide no copy from one another.
        spaces: in what they are compared, by name.
        progress: show a progress bar.

    Raises:
        ValueError: all training images look alike, so that there is no second nearest.
        TrainingSetError: naming an image that cannot be read.
    """

    def __init__(
        self,
        images: Sequence[Path],
        groups: Int64[Tensor, " N"],
        spaces: Mapping[str, Space],
        *,
        progress: bool = False,
    ) -> None:
        if len(groups.unique()) < 2:
            raise ValueError(
                f"all {len(images)} training images look alike; expected two different ones or more"
            )
        self.groups, self.spaces = groups, spaces
        self.points = points(spaces, images, progress=progress)

    def neighbours(self, images: Sequence[Path]) -> dict[str, Neighbours]:
        """The nearest and second nearest training image of files, in each space."""
        found = points(self.spaces, images)
        return {
            name: copies.nearest(some, self.points[name], groups=self.groups) for name, some in found.items()
        }


def points(
    spaces: Mapping[str, Space], images: Sequence[Path], *, progress: bool = False
) -> dict[str, Tensor]:
    """The points of files of images in each space, `(B, d)`; each file is read once."""
    parts: dict[str, list[Tensor]] = {name: [] for name in spaces}
    for start in tqdm(range(0, len(images), _TOGETHER), desc="images", disable=not progress):
        some: list[Image.Image] = [opened(path) for path in images[start : start + _TOGETHER]]
        for name, space in spaces.items():
            parts[name].append(space(some))
    return {name: torch.cat(some) for name, some in parts.items()}


@dataclass(frozen=True, eq=False)
class Judge:
    """Says which images are training images.

    Attributes:
        library: the training images.
        thresholds: by space, the ratio below which an image counts as reproduced.
        innocent: share of the calibration images that count, as an interval; None without calibration.
        innocent_ratios: by space, the ratios of the calibration images.
    """

    library: Library
    thresholds: Mapping[str, float]
    innocent: Interval | None
    innocent_ratios: Mapping[str, Sequence[float]]

    def matches(self, images: Sequence[Path]) -> dict[Path, Match]:
        """Files of generated images beside the training images nearest to them."""
        found = self.library.neighbours(images) if images else {}
        ratios = {name: some.ratio.tolist() for name, some in found.items()}
        nearest = {name: some.index.tolist() for name, some in found.items()}
        return {path: self._match(k, nearest, ratios) for k, path in enumerate(images)}

    def _match(self, k: int, nearest: dict[str, list[int]], ratios: dict[str, list[float]]) -> Match:
        ratio = {name: some[k] for name, some in ratios.items()}
        best = min(ratio, key=lambda name: ratio[name] / max(self.thresholds[name], 1e-12))
        return Match(
            {name: some[k] for name, some in nearest.items()},
            ratio,
            best,
            ratio[best] < self.thresholds[best],
        )


def calibrated(library: Library, innocent: Sequence[Path] = (), *, rate: float = 0.01) -> Judge:
    """The rule by which generated images are held against the training images.

    An image counts as reproduced if in one of the spaces the distance to its nearest training image is less
    than a certain share of that to the next. With enough innocent images it is the largest share that at
    most `rate` of these undercut, divided among the spaces; with fewer it is a third (Yoon et al. 2023), or
    less if one of them undercuts that.

    Args:
        library: the training images.
        innocent: files of images that cannot be copies.
        rate: the share of innocent images that may count.
    """
    each = rate / len(library.spaces)
    known = library.neighbours(innocent) if len(innocent) > 1 else {}
    thresholds = dict.fromkeys(library.spaces, copies.RATIO)
    for name, some in known.items():
        allowed = copies.allowed_ratio(some, false_positive_rate=each)
        thresholds[name] = allowed if len(innocent) * each >= 1 else min(copies.RATIO, allowed)
    share = None
    if known:
        counted = torch.stack([some.ratio < thresholds[name] for name, some in known.items()]).any(0)
        share = intervals.proportion(counted.numpy())
    return Judge(library, thresholds, share, {name: some.ratio.tolist() for name, some in known.items()})


def extraction_rate(
    suspicious: Bool[Tensor, " S"], others: Bool[Tensor, " R"], unsampled: int, *, level: float = 0.95
) -> Interval:
    """Share of captions whose image comes out: the suspicious ones counted, the others estimated.

    Args:
        suspicious: whether the image of each suspicious caption came out; all of these were looked at.
        others: the same of captions drawn at random from the rest.
        unsampled: how many of the rest were not drawn.
        level: coverage. Wilson's interval, for what was not drawn alone: what was seen is known.

    Raises:
        ValueError: captions that were not drawn, and fewer than two at random that speak for them.

    Example:
        >>> found = extraction_rate(torch.tensor([True, True]), torch.zeros(20) > 0, 78)
        >>> found.value, round(found.low, 3), round(found.high, 3), found.n
        (0.02, 0.02, 0.146, 20)
    """
    if unsampled and len(others) < 2:
        raise ValueError(
            f"{unsampled} captions were not looked at, and {len(others)} drawn at random speaks for them; "
            "expected 2 or more"
        )
    seen, total = int(suspicious.sum() + others.sum()), len(suspicious) + len(others) + unsampled
    rest = intervals.proportion(others.numpy(), level=level) if unsampled else Interval(0, 0, 0, level, total)
    value, low, high = ((seen + unsampled * share) / total for share in (rest.value, *rest.bounds))
    return Interval(value, low, high, level, rest.n)
