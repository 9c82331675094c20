"""A time-conditioned multilayer perceptron for points in the plane and other low-dimensional data."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from memlib import checks
from memlib.networks.embedding import TimeEmbedding, expand_index


@dataclass(frozen=True)
class MLPConfig:
    """Sizes of an `MLP`.

    Attributes:
        dim: dimension of the data.
        width: the width of the hidden layers.
        blocks: residual blocks of two layers each.
    """

    dim: int = 2
    width: int = 128
    blocks: int = 3

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return (self.dim,)


class MLP(nn.Module):
    """Residual perceptron, smooth (SiLU) throughout, so that second derivatives exist."""

    def __init__(self, config: MLPConfig) -> None:
        super().__init__()
        self.config = config
        self.time = TimeEmbedding(config.width)
        self.enter = nn.Linear(config.dim, config.width)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.SiLU(),
                nn.Linear(config.width, config.width),
                nn.SiLU(),
                nn.Linear(config.width, config.width),
            )
            for _ in range(config.blocks)
        )
        self.leave = nn.Linear(config.width, config.dim)

    def forward(self, x: Float[Tensor, "B d"], t: int | Tensor, label: None = None) -> Float[Tensor, "B d"]:
        """Prediction at `x` and time `t`, an int or `(B,)`.

        `label` is there for a common interface with the U-Net and must be None.

        Raises:
            ValueError: another shape, or a label.
        """
        checks.shaped("x", x, self.config.sample_shape)
        if label is not None:
            raise ValueError(f"an MLP has no classes, got label={label!r}; leave it None")
        time = self.time(expand_index("t", t, len(x), x.device))
        h = self.enter(x)
        for block in self.blocks:
            h = h + block(h + time)
        prediction: Tensor = self.leave(torch.nn.functional.silu(h))
        return prediction
