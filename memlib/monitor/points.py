"""The fixed points of a monitor, and what is measured there from few passes through the network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from memlib import checks
from memlib.hessian import JacobianOperator
from memlib.score import Score

ScoreAt = Callable[[float, Int64[Tensor, " B"]], Score]
"""Time and numbers of the points -> the score there under the conditions of these points."""


@dataclass(frozen=True, eq=False)
class Points:
    """Training images and others, the noise on each of them and the directions, the same at every check.

    Attributes:
        images: `(n, *sample_shape)`, the training images first.
        training: how many of them are training images.
        times: noise levels; the same one twice gives it two noises.
        paired: image i of the second half is a twin of training image i, not an image of its own.
        seed: of noises and directions.
        rows: points that go through the network at once.

    Raises:
        ValueError: fewer than 4 images of a kind, no time, or no row.
    """

    images: Float[Tensor, "n ..."]
    training: int
    times: Sequence[float]
    paired: bool = False
    seed: int = 0
    rows: int = 16

    def __post_init__(self) -> None:
        checks.batched("images", self.images)
        if min(self.training, len(self.images) - self.training) < 4 or not self.times or self.rows < 1:
            raise ValueError(
                "a monitor needs 4 training images and 4 others or more, a time and a row; got "
                f"{self.training} of {len(self.images)} images, {len(self.times)} times and {self.rows} rows"
            )

    @property
    def passes(self) -> int:
        """Passes through the network of one check, a forward or a backward one of one point each."""
        return len(self.images) * len(self.times) * 2

    def measure(self, score: ScoreAt) -> Float[Tensor, "times n 2"]:
        """Minus the logarithm of the error, and sharpness: both are larger at images that are memorized.

        The error is the mean square of sigma s(x_t) + eps, the loss of a noise prediction. Sharpness is
        -sigma^2 tr H / d, 1 at an isolated point, by one product with the transpose (Hutchinson 1990).

        Args:
            score: at a time and points, the network's as it is now.
        """
        found = torch.empty(len(self.times), len(self.images), 2, dtype=torch.float64)
        for k, t in enumerate(self.times):
            for numbers in torch.arange(len(self.images)).split(self.rows):
                found[k, numbers] = self._at(score, k, t, numbers)
        return found

    def _at(self, score: ScoreAt, k: int, t: float, numbers: Tensor) -> Tensor:
        x0 = self.images[numbers]
        at = score(t, numbers % self.training if self.paired else numbers)
        noise, signs = (self._normal(k, numbers, use).to(x0) for use in range(2))
        # Few rows, seen at every check: that they are independent is the caller's to know.
        with JacobianOperator(at, at.alpha * x0 + at.sigma * noise, check=False) as op:
            error = (at.sigma * op.value + noise.flatten(1)).square().mean(1)
            v = signs.sign().flatten(1).to(op.value)
            sharpness = -(at.sigma**2) * (v * op.matvec(v)).mean(1)
        return torch.stack([-error.log(), sharpness], 1).cpu()

    def _normal(self, k: int, numbers: Tensor, use: int) -> Tensor:
        """Numbers that depend on time, point and use alone, however points are split."""
        first, many, shape = self.seed * 0x9E3779B1, len(self.images), self.images.shape[1:]
        seeds = [(first + 2 * (k * many + i) + use) % 2**32 for i in numbers.tolist()]
        return torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(s)) for s in seeds])


def mirrored(images: Float[Tensor, "N ... W"]) -> Float[Tensor, "N ... W"]:
    """The images with left and right exchanged, twins of training images where no image was held out.

    Valid where an image and its mirror image are equally likely, and the training does not mirror images
    itself. Letters, clocks and cars in traffic are not; neither is a network that sees both.
    """
    return images.flip(-1)
