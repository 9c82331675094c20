"""Plain values out of tensors and arrays, refused when they would not survive in a file."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray


def number(key: str, value: Any) -> bool | int | float:
    """A plain finite number from a number, a tensor or an array of one element, else `ValueError`."""
    try:
        plain = value.item() if hasattr(value, "item") else value
    except (ValueError, RuntimeError):
        raise ValueError(
            f"{key} must be one number, got shape {tuple(value.shape)}; reduce it or use table()"
        ) from None
    if not isinstance(plain, bool | int | float):
        raise ValueError(f"{key} must be a number, got {plain!r} ({type(plain).__name__})")
    if not math.isfinite(plain):
        raise ValueError(f"{key} is {plain}; only finite numbers are recorded: find out where it comes from")
    return plain


def array(key: str, value: Any) -> NDArray[Any]:
    """An array from an array, a list or a tensor on any device; never of objects, which need pickle.

    Args:
        key: what messages call it.
        value: numbers.

    Raises:
        ValueError: objects instead of numbers.
    """
    plain = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
    if plain.dtype == object:
        raise ValueError(f"{key} holds Python objects; pass arrays of numbers, each of one shape")
    return plain
