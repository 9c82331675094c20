"""Products with the Jacobian of a score, for a batch of points and several directions at once.

The Hessian of a log density is the Jacobian J of its score. For a learned score J is not exactly symmetric,
so there are several products, and every statistic built on them says which one it uses:

- `vjp`: J^T v by reverse mode on a retained graph, about one forward pass each; the default.
- `jvp`: J v by differentiating the reverse pass once more, about 1.3 forward passes.
- `symmetric`: (J v + J^T v) / 2, the sum of both; its eigenvalues are real.
- `difference`: (s(x + h v) - s(x)) / h, one forward pass, no graph, accurate to about the square root of
  the precision.

Directions are batched by repeating the points: `c` copies of the batch share one retained graph whose
backward pass treats `c` directions. This costs the same per direction as a plain backward pass and asks
nothing of `vmap`, which has no rule for fused attention. The number of rows in a pass, `chunk_size`,
bounds the memory; it is never fewer than one row per sample.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import get_args

import torch
from jaxtyping import Float
from torch import Tensor

from memlib import checks
from memlib.hessian import draw, rows
from memlib.hessian.graph import Graph, Product, checked_value
from memlib.hessian.operator import LinearOperator

_DEFAULT_ROWS = {"cpu": 64, "cuda": 512}
# Sweeps through the network per product and sample; differentiating a backward sweep visits it twice.
_SWEEPS = {"vjp": 1, "jvp": 2, "symmetric": 3, "difference": 1}


@dataclass(frozen=True)
class Asymmetry:
    """Relative asymmetry of J: 0 for a gradient field, sqrt(2) for unrelated entries, 2 at most.

    Attributes:
        ratio: `(B,)` float64, the estimate of ||J - J^T||_F / ||J||_F; 0 where J is zero.
        standard_error: `(B,)` float64.
        probes: random directions spent.
    """

    ratio: Tensor
    standard_error: Tensor
    probes: int


class JacobianOperator(LinearOperator):
    """The Jacobian of `score` at a batch of points.

    Args:
        score: callable x `(B, *sample_shape)` -> s of the same shape and dtype; row i may depend on row i of
            x only. It is called with the batch repeated several times, so it must not hold per-sample
            conditions of a fixed length; `memlib.score.Score` repeats them itself.
        x: points, floating, finite, non-empty. The network runs in the dtype of x.
        product: "vjp" J^T v, "jvp" J v, "symmetric" (J v + J^T v) / 2, "difference" (s(x + h v) - s(x)) / h.
        value: the score at x where it is known already, of the shape and dtype of x; "difference" then spends
            no pass on it. The others need the pass for its graph.
        check: refuse a score that is random or couples rows, with one pass more than the products take (two
            for a single sample); `passes` leaves it out.
        chunk_size: rows per pass (samples times directions, at least one direction); None takes 64 on a CPU
            and 512 on a GPU. When memory runs out it is halved and the product goes on.
        dtype: the dtype of vectors in and out; float64 keeps bases and small matrices exact whatever the
            network's precision.
        step: displacement of the `difference` product as a length in x; None takes sqrt(machine epsilon)
            max(1, ||x||).

    Attributes:
        value: the score at x, `(B, d)` in `dtype`.
        passes: forward and backward passes through the network for `value` and the products, per sample.
        backward: the backward ones among them.

    Raises:
        ValueError: for bad points, a score or `value` of another shape or dtype, one that is not finite, does
            not depend on x through autograd, is random (dropout) or couples rows (batch normalisation).
        RuntimeError: inside inference mode, after `release()`, or when one direction does not fit in memory.

    Example:
        >>> op = JacobianOperator(lambda x: -x, torch.zeros(2, 3))
        >>> op.matvec(torch.ones(2, 3, dtype=torch.float64))[0].tolist()
        [-1.0, -1.0, -1.0]
    """

    def __init__(
        self,
        score: Callable[[Tensor], Tensor],
        x: Float[Tensor, "B ..."],
        *,
        product: Product = "vjp",
        value: Float[Tensor, "B ..."] | None = None,
        chunk_size: int | None = None,
        dtype: torch.dtype = torch.float64,
        step: float | None = None,
        check: bool = True,
    ) -> None:
        checks.batched("x", x)
        if product not in get_args(Product):
            raise ValueError(f"product must be one of {list(get_args(Product))}, got {product!r}")
        if chunk_size is not None and chunk_size < 1:
            raise ValueError(f"chunk_size must be at least 1, got {chunk_size}")
        if step is not None and not step > 0:
            raise ValueError(f"step must be a positive length in x, or None, got {step}")
        _refuse_inference_mode(product)
        self.score, self.product, self.dtype = score, product, dtype
        # Contiguous: GroupNorm has no second derivative on other input.
        self.x = x.detach().clone(memory_format=torch.contiguous_format)
        self.batch, self.dim, self.device = len(x), x[0].numel(), x.device
        self.rows = chunk_size or _DEFAULT_ROWS.get(x.device.type, _DEFAULT_ROWS["cpu"])
        self.products, self.passes, self.backward = 0, 0, 0
        self.step, self.check = step, check
        self._graphs: dict[int, Graph] = {}  # copies of the batch -> retained graph
        self._released = False
        self._value = self._known(value)
        self.value = self._value.to(dtype)
        if check:
            rows.require_independent(score, self.x, self._value)

    def _known(self, value: Tensor | None) -> Tensor:
        """The score at x, `(B, d)` in the dtype of x; from the graph where there must be one."""
        if value is not None:
            value = checked_value(value, self.x, "value").detach().flatten(1)
        if self.product != "difference":
            graph = self._graph(1)
            return graph.value if value is None else value
        if value is None:
            with torch.no_grad():
                value = checked_value(self.score(self.x.clone()), self.x).flatten(1)
            self.passes += 1
        return value

    def matvec(self, v: Float[Tensor, "B d"]) -> Float[Tensor, "B d"]:
        """One product for every sample.

        Raises:
            ValueError: another shape or dtype.
        """
        if v.shape != (self.batch, self.dim):
            raise ValueError(f"v must have shape {(self.batch, self.dim)}, got {tuple(v.shape)}")
        return self.matmat(v[:, :, None])[:, :, 0]

    def matmat(self, V: Float[Tensor, "B d K"]) -> Float[Tensor, "B d K"]:
        """Several products for every sample; `passes` grows by the network passes they took.

        Raises:
            ValueError: another shape or dtype.
        """
        if V.ndim != 3 or V.shape[:2] != (self.batch, self.dim):
            raise ValueError(f"V must have shape ({self.batch}, {self.dim}, K), got {tuple(V.shape)}")
        checks.floating("V", V)
        return self._apply(V, self.product)

    def asymmetry(self, probes: int = 16, generator: torch.Generator | None = None) -> Asymmetry:
        """Estimate ||J - J^T||_F / ||J||_F from random sign vectors: E ||A v||^2 = ||A||_F^2.

        The standard error is the delta method's for a ratio of means. Without a generator the signs come from
        a new one with seed 0.

        Args:
            probes: the number of random directions, at least 2.
            generator: draws them; None takes seed 0.

        Raises:
            ValueError: fewer probes, or product="difference", which has no transpose.
        """
        if probes < 2:
            raise ValueError(f"an error bar needs at least 2 probes, got {probes}")
        if self.product == "difference":
            raise ValueError(
                "product='difference' has no transpose; build the operator with 'vjp', 'jvp' or 'symmetric'"
            )
        V = draw.rademacher(self, probes, draw.generator_for(self, generator))
        forward, backward = self._apply(V, "jvp"), self._apply(V, "vjp")
        skew = (forward - backward).square().sum(1).double()
        size = 0.5 * (forward.square() + backward.square()).sum(1).double()  # both estimate ||J||_F^2
        tiny = torch.finfo(torch.float64).tiny  # keeps 0 / 0 at 0
        mean_size = size.mean(1).clamp(min=tiny)
        squared = skew.mean(1) / mean_size
        spread = (skew - squared[:, None] * size).std(1) / math.sqrt(probes) / mean_size
        ratio = squared.sqrt()
        return Asymmetry(ratio, spread / (2 * ratio).clamp(min=tiny), probes)

    def release(self) -> None:
        """Free the retained graphs; later products raise `RuntimeError`."""
        self._graphs.clear()
        self._released = True

    def __enter__(self) -> JacobianOperator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _apply(self, V: Tensor, product: Product) -> Tensor:
        if self._released:
            raise RuntimeError("this operator was released and its graph freed; build a new JacobianOperator")
        _refuse_inference_mode(product)
        columns = V.shape[2]
        out = torch.empty_like(V, dtype=self.dtype)
        done = 0
        while done < columns:
            # Even chunks: 100 directions at 64 a pass run as 50 + 50, not as 64 + 36 padded to 64.
            remaining = columns - done
            copies = math.ceil(remaining / math.ceil(remaining / self._copies()))
            try:
                out[:, :, done : done + copies] = self._pass(V[:, :, done : done + copies], product)
            except RuntimeError as error:
                self._halve(error)
                continue
            done += copies
        self.products += columns
        return out

    def _copies(self) -> int:
        return max(1, self.rows // self.batch)

    def _pass(self, V: Tensor, product: Product) -> Tensor:
        copies = V.shape[2]
        rows = V.to(self.x.dtype).permute(0, 2, 1).reshape(self.batch * copies, *self.x.shape[1:])
        if product == "difference":
            result = self._difference(rows, copies)
        else:
            graph = self._graph(copies, twice=product != "vjp")
            result = graph.product(rows, product)
        self.passes += copies * _SWEEPS[product]
        self.backward += copies * _SWEEPS[product] if product != "difference" else 0
        return result.reshape(self.batch, copies, self.dim).permute(0, 2, 1).to(self.dtype)

    def _difference(self, rows: Tensor, copies: int) -> Tensor:
        flat = rows.flatten(1)
        length = torch.linalg.vector_norm(flat, dim=1, keepdim=True)
        moves = length >= torch.finfo(length.dtype).tiny  # a zero direction moves nothing and gives zero
        h = self._lengths().repeat_interleave(copies, 0) / torch.where(moves, length, 1)
        x = self.x.repeat_interleave(copies, 0)
        base = self._value.repeat_interleave(copies, 0)
        with torch.no_grad():
            moved = self.score(x + (h * flat).reshape(x.shape)).flatten(1)
        return torch.where(moves, (moved - base) / h, 0)

    def _lengths(self) -> Tensor:
        """How far the `difference` product moves each sample, `(B, 1)`."""
        size: Tensor = torch.linalg.vector_norm(self.x.flatten(1), dim=1, keepdim=True)
        if self.step is not None:
            return torch.full_like(size, self.step)
        return math.sqrt(torch.finfo(self.x.dtype).eps) * size.clamp(min=1)

    def _graph(self, copies: int, twice: bool = False) -> Graph:
        twice = twice or self.product in ("jvp", "symmetric")
        graph = self._graphs.get(copies)
        if graph is None or (twice and graph.backward is None):
            # One graph of many copies at a time, or memory would grow with every new number of directions.
            for other in [c for c in self._graphs if c not in (1, copies)]:
                del self._graphs[other]
            self._graphs.pop(copies, None)
            graph = Graph(self.score, self.x, copies, twice=twice)
            if self.check and copies > 1:
                rows.require_repeated(graph.value, self._value)
            self._graphs[copies] = graph
            self.passes += copies * (2 if twice else 1)
            self.backward += copies if twice else 0
        return graph

    def _halve(self, error: RuntimeError) -> None:
        out_of_memory = isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error)
        if out_of_memory and self._copies() == 1:
            error.add_note(
                f"one direction for {self.batch} samples does not fit; pass fewer samples at a time"
            )
        if not out_of_memory or self._copies() == 1:
            raise error
        self.rows = self.batch * (self._copies() // 2)
        for copies in [c for c in self._graphs if c > 1]:
            del self._graphs[copies]
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


def _refuse_inference_mode(product: Product) -> None:
    if product != "difference" and torch.is_inference_mode_enabled():
        raise RuntimeError(
            f"product={product!r} needs gradients, which torch.inference_mode() switches off for good; "
            "use torch.no_grad() around your code instead, or product='difference'"
        )
