"""Checks of arguments and of products shared by the Krylov and trace routines.

Every message says what came, what was expected and what to do.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from memlib.hessian.operator import LinearOperator


class NonFiniteProductError(ValueError):
    """A product of the operator held NaN or infinity.

    Attributes:
        samples: rows of the batch concerned.
        step: number of the first bad product, counted from 1 within the routine that raised.
    """

    def __init__(self, samples: list[int], step: int) -> None:
        self.samples, self.step = samples, step
        shown = ", ".join(map(str, samples[:8])) + (", ..." if len(samples) > 8 else "")
        super().__init__(
            f"product {step} holds NaN or infinity for sample(s) {shown}; "
            "drop those samples, or evaluate the network in a wider dtype"
        )


def operator(op: LinearOperator) -> None:
    """Raise `ValueError` unless `op` has at least one sample, one dimension and a real floating dtype."""
    if op.batch < 1:
        raise ValueError("the operator has an empty batch (batch = 0); pass at least one sample")
    if op.dim < 1:
        raise ValueError(f"the operator has dim = {op.dim}; at least one dimension is needed")
    if not op.dtype.is_floating_point:
        raise ValueError(f"the operator has dtype {op.dtype}; use torch.float64 or torch.float32")


def at_least(name: str, value: int, minimum: int) -> int:
    """Return `value` if it is an integer of at least `minimum`, else raise `ValueError`."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{name} must be an integer, got {value!r}")
    if value < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {value}; raise it")
    return value


def choice(name: str, value: str, valid: Iterable[str]) -> str:
    """Return `value` if it is one of `valid`, else raise a `ValueError` that lists them."""
    names = list(valid)
    if value not in names:
        raise ValueError(f"unknown {name} {value!r}; choose one of {', '.join(map(repr, names))}")
    return value


def per_sample(name: str, value: float | Tensor, op: LinearOperator) -> Tensor:
    """Return `value` as a finite `(B,)` in the dtype and on the device of `op`, else raise `ValueError`."""
    out = torch.as_tensor(value, dtype=op.dtype, device=op.device)
    if out.ndim > 1 or (out.ndim == 1 and out.shape[0] not in {1, op.batch}):
        raise ValueError(
            f"{name} must be one number or one per sample ({op.batch}), got shape {tuple(out.shape)}"
        )
    if not bool(torch.isfinite(out).all()):
        raise ValueError(f"{name} must be finite, got {value}")
    return out.expand(op.batch)


def positive_per_sample(name: str, value: float | Tensor, op: LinearOperator) -> Tensor:
    """Like `per_sample`, and every entry must be greater than zero.

    Raises:
        ValueError: a value that is not positive, or another shape.
    """
    out = per_sample(name, value, op)
    if not bool((out > 0).all()):
        raise ValueError(f"{name} must be greater than zero, got {value}")
    return out


def same_shape(product: Tensor, block: Tensor) -> Tensor:
    """Return `product` in the dtype of `block` if the two have one shape, else raise `ValueError`."""
    if product.shape != block.shape:
        raise ValueError(
            f"the operator returned shape {tuple(product.shape)} for an input of shape {tuple(block.shape)}; "
            "matvec and matmat must keep the shape"
        )
    return product.to(block.dtype)


def matmat(op: LinearOperator, block: Tensor, step: int = 1) -> Tensor:
    """Return the product `A V`, shape `(B, d, K)`, after checking its shape and that it is finite.

    `step` is the number, within the calling routine, of the product with the first column.
    """
    product = same_shape(op.matmat(block), block)
    norms = torch.linalg.vector_norm(product, dim=1)
    require_finite(norms.T, step)
    return product


def require_finite(norms: Tensor, step: int) -> None:
    """Raise `NonFiniteProductError` if a norm `(products, B)` is not finite; the first is product `step`."""
    good = torch.isfinite(norms)
    if bool(good.all()):
        return
    first = int((~good).any(dim=1).nonzero()[0])
    raise NonFiniteProductError((~good[first]).nonzero().flatten().tolist(), step + first)
