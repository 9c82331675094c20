"""The retained graph of a score at repeated points, from which products with its Jacobian are read."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Literal

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from memlib.hessian.convolution import FixedConvolutions

Product = Literal["vjp", "jvp", "symmetric", "difference"]
_DETACHED = (
    "the score does not depend on x through autograd; remove the .detach(), torch.no_grad() or numpy "
    "inside it, or use product='difference'"
)


class Graph:
    """The score at `copies` copies of the points with its retained graph, and that of its reverse pass.

    Raises:
        ValueError: the score does not depend on x through autograd, or has another shape or dtype.
    """

    def __init__(self, score: Callable[[Tensor], Tensor], x: Tensor, copies: int, twice: bool) -> None:
        self.input = x.repeat_interleave(copies, 0) if copies > 1 else x.clone()
        self.backward: Tensor | None = None  # of the zero cotangent `weights`, only with twice=True
        # Fused attention cannot be differentiated twice.
        attention = sdpa_kernel(SDPBackend.MATH) if twice else nullcontext()
        with torch.enable_grad(), attention, FixedConvolutions() if twice else nullcontext():
            self.input.requires_grad_()
            self.output = checked_value(score(self.input), self.input)
            if not self.output.requires_grad:
                raise ValueError(_DETACHED)
            if twice:
                self.weights = torch.zeros_like(self.output, requires_grad=True)
                self.backward = _vjp(self.output, self.input, self.weights, create_graph=True)

    @property
    def value(self) -> Tensor:
        """The score, `(rows, d)`."""
        return self.output.detach().flatten(1)

    def product(self, rows: Tensor, product: Product) -> Tensor:
        """One product for every row, `(rows, *sample_shape)`; all but "vjp" need `twice=True`.

        Raises:
            RuntimeError: the product needs a graph that was built with `twice`.
        """
        if product == "vjp":
            return _vjp(self.output, self.input, rows)
        if self.backward is None:
            raise RuntimeError(f"product {product!r} needs a graph built with twice=True")
        # The reverse pass is linear in its cotangent, w -> J^T w; its own reverse pass is v -> J v.
        forward = _vjp(self.backward, self.weights, rows)
        return forward if product == "jvp" else 0.5 * (forward + _vjp(self.output, self.input, rows))


def _vjp(output: Tensor, at: Tensor, vector: Tensor, create_graph: bool = False) -> Tensor:
    (result,) = torch.autograd.grad(
        output, at, vector, retain_graph=True, create_graph=create_graph, allow_unused=True
    )
    if result is None:
        raise ValueError(_DETACHED)
    return result


def checked_value(s: object, x: Tensor, name: str = "the score") -> Tensor:
    """Return `s` if it is finite and has the shape and dtype of x, else raise `ValueError`."""
    if not isinstance(s, Tensor) or s.shape != x.shape or s.dtype != x.dtype:
        came = f"{tuple(s.shape)} {s.dtype}" if isinstance(s, Tensor) else type(s).__name__
        raise ValueError(f"{name} must have the shape and dtype of x, {tuple(x.shape)} {x.dtype}, got {came}")
    if not torch.isfinite(s).all():
        rows = (~torch.isfinite(s.detach().flatten(1)).all(1)).nonzero().flatten().tolist()[:8]
        raise ValueError(
            f"{name} is NaN or infinite at rows {rows}; check the time, the scale and the network's dtype"
        )
    return s
