"""Checks shared by every public entry: each says what came, what was expected and what to do."""

from __future__ import annotations

import torch
from torch import Tensor


def floating(name: str, x: Tensor) -> Tensor:
    """Return `x` unchanged if it is a real floating-point tensor, else raise `ValueError`.

    Args:
        name: what messages call the tensor.
        x: any object.

    Raises:
        ValueError: x is no tensor, or its dtype is not floating.
    """
    if not isinstance(x, Tensor):
        raise ValueError(
            f"{name} must be a torch tensor, got {type(x).__name__}; convert it with torch.as_tensor(...)"
        )
    if not x.dtype.is_floating_point:
        raise ValueError(
            f"{name} must have a floating dtype, got {x.dtype}; convert it with .float() or .double()"
        )
    return x


def shaped(name: str, x: Tensor, sample_shape: tuple[int, ...]) -> Tensor:
    """Return `x` unchanged if it is floating and `(B, *sample_shape)`, else raise `ValueError`.

    Values are not read, so that it costs nothing on a GPU and works under `torch.func`.

    Args:
        name: what messages call the tensor.
        x: any object.
        sample_shape: the shape of one sample.

    Raises:
        ValueError: another dtype or shape.
    """
    floating(name, x)
    if tuple(x.shape[1:]) != sample_shape or x.ndim == 0:
        raise ValueError(
            f"{name} must have shape (B, {', '.join(map(str, sample_shape))}), batch first, "
            f"got {tuple(x.shape)}; add a missing batch axis with x[None]"
        )
    return x


def finite(name: str, x: Tensor) -> Tensor:
    """Return `x` unchanged if it is floating and finite, else raise `ValueError` naming the rows.

    Args:
        name: what messages call the tensor.
        x: any object.

    Raises:
        ValueError: another dtype, or NaN or infinity in some rows, which are named.
    """
    floating(name, x)
    if not torch.isfinite(x).all():
        good = torch.isfinite(x.reshape(len(x) if x.ndim else 1, -1)).all(dim=1)
        rows = (~good).nonzero().flatten().tolist()[:8]
        raise ValueError(
            f"{name} has NaN or infinite entries in rows {rows}; drop or repair those samples first"
        )
    return x


def batched(name: str, x: Tensor, sample_shape: tuple[int, ...] | None = None) -> Tensor:
    """Return `x` unchanged if it is a finite, non-empty batch `(B, *sample_shape)`, else raise `ValueError`.

    `sample_shape=None` accepts any sample shape of at least one axis.

    Args:
        name: what messages call the tensor.
        x: any object.
        sample_shape: the shape of one sample, or None.

    Raises:
        ValueError: another dtype or shape, an empty batch, or entries that are not finite.
    """
    finite(name, x)
    if sample_shape is not None:
        shaped(name, x, sample_shape)
    elif x.ndim < 2:
        raise ValueError(
            f"{name} must have shape (B, ...), batch first, got {tuple(x.shape)}; add the axis with x[None]"
        )
    if x.numel() == 0:
        raise ValueError(f"{name} is empty, of shape {tuple(x.shape)}; pass at least one sample")
    return x


def device(name: str) -> str:
    """Turn "auto" into "cuda" where there is one, else "cpu"; check that any other device can be used.

    Raises `ValueError` for a device that torch does not know or that this machine lacks.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f'device {name!r} cannot be used here ({reason}); expected "auto", "cpu" or "cuda"'
        ) from error
    return name


DTYPES = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "float64": torch.float64,
}


def dtype(name: str) -> torch.dtype:
    """The dtype of this name; `ValueError` for a name that is not in `DTYPES`."""
    if name not in DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, got {name!r}")
    return DTYPES[name]
