"""Embedding of the time index, shared by the networks."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class TimeEmbedding(nn.Module):
    """Sinusoidal features of the time index through two layers (Vaswani et al. 2017; Ho et al. 2020)."""

    frequencies: Tensor

    def __init__(self, width: int, features: int = 64) -> None:
        super().__init__()
        exponents = torch.arange(features // 2, dtype=torch.float32) / (features // 2)
        self.register_buffer("frequencies", torch.exp(-math.log(10_000.0) * exponents), persistent=False)
        self.layers = nn.Sequential(nn.Linear(features, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, t: Tensor) -> Tensor:
        """Features `(B, width)` of times `t (B,)`, in the dtype of the weights."""
        angles = t[:, None].to(self.frequencies.dtype) * self.frequencies
        features = torch.cat([angles.sin(), angles.cos()], dim=1)
        embedded: Tensor = self.layers(features)
        return embedded


def expand_index(name: str, value: int | Tensor, batch: int, device: torch.device) -> Tensor:
    """An index for every sample `(batch,)` from one int or a `(batch,)` integer tensor.

    Its range is for the caller to check: reading values here would stop a GPU and break traced calls.

    Args:
        name: what messages call the index.
        value: one int or a tensor of integers.
        batch: the number of samples.
        device: where the result goes.

    Raises:
        ValueError: a floating dtype or another shape.
    """
    index = torch.as_tensor(value, device=device)
    if index.dtype.is_floating_point or index.ndim > 1 or (index.ndim == 1 and len(index) != batch):
        raise ValueError(
            f"{name} must be one integer or an integer tensor of shape ({batch},), got {value!r}"
        )
    return index.expand(batch)
