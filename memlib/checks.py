"""Checks shared by every public entry: each says what came, what was expected and what to do."""

from __future__ import annotations

import torch
from torch import Tensor


def floating(name: str, x: Tensor) -> Tensor:
    """Return `x` unchanged if it is a real floating-point tensor, else raise `ValueError`."""
    if not isinstance(x, Tensor):
        raise ValueError(
            f"{name} must be a torch tensor, got {type(x).__name__}; convert it with torch.as_tensor(...)"
        )
    if not x.dtype.is_floating_point:
        raise ValueError(
            f"{name} must have a floating dtype, got {x.dtype}; convert it with .float() or .double()"
        )
    return x


def finite(name: str, x: Tensor) -> Tensor:
    """Return `x` unchanged if it is floating and has no NaN or infinity, else raise `ValueError` naming the
    rows.
    """
    floating(name, x)
    if not torch.isfinite(x).all():
        bad = (
            ~torch.isfinite(x.reshape(x.shape[0], -1)).all(dim=1) if x.ndim else ~torch.isfinite(x).reshape(1)
        )
        rows = bad.nonzero().flatten().tolist()[:8]
        raise ValueError(
            f"{name} has NaN or infinite entries in rows {rows}; drop or repair those samples first"
        )
    return x


def batched(name: str, x: Tensor, sample_shape: tuple[int, ...] | None = None) -> Tensor:
    """Return `x` unchanged if it is a finite, non-empty batch `(B, *sample_shape)`, else raise `ValueError`.

    `sample_shape=None` accepts any sample shape of at least one axis.
    """
    finite(name, x)
    wanted = "(B, ...)" if sample_shape is None else f"(B, {', '.join(map(str, sample_shape))})"
    right_shape = x.ndim >= 2 if sample_shape is None else tuple(x.shape[1:]) == tuple(sample_shape)
    if x.ndim < 2 or not right_shape:
        raise ValueError(
            f"{name} must have shape {wanted}, batch first, got {tuple(x.shape)}; add the batch axis with x[None]"
        )
    if x.shape[0] == 0:
        raise ValueError(f"{name} is an empty batch of shape {tuple(x.shape)}; pass at least one sample")
    return x
