"""Which generated images are training images: the nearest one, against what an innocent model comes to.

A copy lies much nearer to one training image than to all others. How much nearer is calibrated on images that
cannot be copies of this training set: those under harmless captions, or those of the base model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Int64
from torch import Tensor
from tqdm import tqdm

from memlib import copies, intervals
from memlib.audit.training_set import Example, pixels
from memlib.intervals import Interval

SIDE = 64
"""Images are compared at this height and width, or at the model's where that is smaller."""


@dataclass(frozen=True, eq=False)
class Verified:
    """Generated images beside the training images nearest to them.

    Attributes:
        nearest: the position of the nearest training image, by name of the generated one.
        ratio: its distance over that to the nearest image of another group, in [0, 1].
        threshold: the ratio below which an image counts as reproduced.
        innocent: share of the calibration images below it, as an interval; None without calibration.
    """

    nearest: dict[str, int]
    ratio: dict[str, float]
    threshold: float
    innocent: Interval | None

    def reproduced(self, name: str) -> bool:
        """Whether an image counts as reproduced."""
        return self.ratio[name] < self.threshold


class Library:
    """The training images, against which generated ones are held.

    Args:
        examples: N training images, at least 2 groups of them.
        groups: `(N,)` images that look alike, which hide no copy from one another.
        side: height and width at which images are compared.
        progress: show a progress bar.

    Raises:
        ValueError: all training images look alike, so that there is no second nearest.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        groups: Int64[Tensor, " N"],
        *,
        side: int = SIDE,
        progress: bool = False,
    ) -> None:
        if len(groups.unique()) < 2:
            raise ValueError(
                f"all {len(examples)} training images look alike; expected two different ones or more"
            )
        read = tqdm(examples, desc="training images", disable=not progress)
        self.pixels = torch.stack([pixels(example.open(), side, side) for example in read])
        self.groups, self.side = groups, side

    def neighbours(self, images: Sequence[Path]) -> copies.Neighbours:
        """The nearest and second nearest training image of files."""
        opened = (Example(path.name, path, "").open() for path in images)
        points = torch.stack([pixels(image, self.side, self.side) for image in opened])
        return copies.nearest(points, self.pixels, groups=self.groups)


def verify(
    library: Library, images: Sequence[Path], innocent: Sequence[Path] = (), *, rate: float = 0.01
) -> Verified:
    """Hold generated images against the training images.

    An image counts as reproduced if the distance to its nearest training image is less than a certain share
    of that to the next. With 1 / `rate` innocent images or more it is the largest share that at most `rate`
    of these undercut; with fewer it is a third (Yoon et al. 2023), or less if one of them undercuts that.

    Args:
        library: the training images.
        images: files of generated images.
        innocent: files of images that cannot be copies.
        rate: the share of innocent images that may count.
    """
    found = library.neighbours(images)
    threshold, share = copies.RATIO, None
    if len(innocent) > 1:
        known = library.neighbours(innocent)
        threshold = copies.allowed_ratio(known, false_positive_rate=rate)
        if len(innocent) * rate < 1:
            threshold = min(copies.RATIO, threshold)
        share = intervals.proportion((known.ratio < threshold).numpy())
    names = [path.name for path in images]
    return Verified(
        dict(zip(names, found.index.tolist(), strict=True)),
        dict(zip(names, found.ratio.tolist(), strict=True)),
        threshold,
        share,
    )


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
