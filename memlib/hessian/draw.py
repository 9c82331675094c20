"""Random vectors for the Krylov and trace routines.

Numbers are drawn on the generator's device and then moved, so that one CPU generator gives the same probes
for an operator on any device. A generator on the operator's device saves the transfer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from memlib.hessian.operator import LinearOperator


def generator_for(op: LinearOperator, generator: torch.Generator | None) -> torch.Generator:
    """Return `generator`, or a new one on the operator's device with seed 0: repeated calls then agree."""
    return torch.Generator(device=op.device).manual_seed(0) if generator is None else generator


def normal(op: LinearOperator, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Return independent standard normal numbers in the dtype and on the device of `op`."""
    return torch.randn(shape, dtype=op.dtype, device=generator.device, generator=generator).to(op.device)


def rademacher(op: LinearOperator, count: int, generator: torch.Generator) -> Tensor:
    """Return independent signs, shape `(B, d, count)`: the least variance among independent entries."""
    shape = (op.batch, op.dim, count)
    signs = torch.randint(0, 2, shape, device=generator.device, generator=generator)
    return (2 * signs - 1).to(device=op.device, dtype=op.dtype)


def sphere(op: LinearOperator, count: int, generator: torch.Generator) -> Tensor:
    """Return vectors uniform on the sphere of radius sqrt(d), shape `(B, d, count)`."""
    block = normal(op, (op.batch, op.dim, count), generator)
    return block.mul(op.dim**0.5 / torch.linalg.vector_norm(block, dim=1, keepdim=True))
