"""Convolutions whose second derivative leaves out what products with a Jacobian do not read.

torch's second derivative of a convolution computes that by its weights whether anyone asks or not, at the
price of one more convolution.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

_Geometry = tuple[Any, Any, Any, int]  # stride, padding, dilation, groups


class FixedConvolutions(TorchFunctionMode):
    """Within the context convolutions with fixed weights are linear maps of their input and nothing else."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if func is functional.conv2d and len(args) == 7 and _plain(*args[:5]):
            return _Convolution.apply(*args[:3], args[3:])  # type: ignore[no-untyped-call]
        return func(*args, **(kwargs or {}))


def _plain(x: Tensor, weight: Tensor, bias: Tensor | None, _: Any, padding: Any) -> bool:
    """Whether a convolution has fixed weights, and is called as modules call it, in one precision."""
    fixed = not (weight.requires_grad or (bias is not None and bias.requires_grad))
    mixed = x.dtype != weight.dtype or torch.is_autocast_enabled(x.device.type)
    transformed = torch._C._are_functorch_transforms_active()
    return fixed and not mixed and not transformed and x.ndim == 4 and not isinstance(padding, str)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, geometry: _Geometry) -> Tensor:
        ctx.weight, ctx.geometry, ctx.shape = weight, geometry, x.shape
        return functional.conv2d(x, weight, bias, *geometry)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        found = _Transposed.apply(gradients[0], ctx.weight, ctx.geometry, ctx.shape)  # type: ignore[no-untyped-call]
        return found, None, None, None


class _Transposed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, g: Tensor, weight: Tensor, geometry: _Geometry, shape: torch.Size) -> Tensor:
        ctx.weight, ctx.geometry = weight, geometry
        stride, padding, dilation, groups = geometry
        like = g.new_empty(1).expand(shape)  # its shape alone is read
        found: Tensor = torch.ops.aten.convolution_backward(
            g, like, weight, None, stride, padding, dilation, False, (0, 0), groups, (True, False, False)
        )[0]
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        found = _Convolution.apply(gradients[0], ctx.weight, None, ctx.geometry)  # type: ignore[no-untyped-call]
        return found, None, None, None
