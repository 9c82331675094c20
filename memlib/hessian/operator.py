"""Products with the Jacobian of a score, for a batch of points and several directions at once.

The Hessian of a log density is the Jacobian J of its score. For a learned score J is not exactly symmetric,
so there are several products, and every statistic built on them says which one it uses:

- `vjp`: J^T v by reverse mode on a retained graph, about one forward pass each; the default.
- `jvp`: J v by differentiating the reverse pass once more, about 2.3 forward passes (`torch.func.jvp`: 4 to
  6).
- `symmetric`: (J v + J^T v) / 2, the sum of both; its eigenvalues are real.
- `difference`: (s(x + h v) - s(x)) / h, one forward pass, no graph, accurate to about the square root of the
  precision.

Directions are batched by repeating the points: `c` copies of the batch share one retained graph whose
backward pass treats `c` directions. This costs the same per direction as a plain backward pass and asks
nothing of `vmap`, which has no rule for fused attention. The number of rows in a pass, `chunk_size`, bounds
the memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Protocol, get_args

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from memlib import checks

Product = Literal["vjp", "jvp", "symmetric", "difference"]
_DEFAULT_ROWS = {"cpu": 64, "cuda": 512}
# What one product costs in sweeps through the network per sample; differentiating a backward sweep visits it twice.
_SWEEPS = {"vjp": 1, "jvp": 2, "symmetric": 3, "difference": 1}


class LinearOperator(Protocol):
    """What the eigenvalue, trace and density routines ask of a batch of square matrices."""

    @property
    def batch(self) -> int:
        """Number of matrices B."""

    @property
    def dim(self) -> int:
        """Size d of each matrix."""

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of vectors in and out."""

    @property
    def device(self) -> torch.device:
        """Device of vectors in and out."""

    @property
    def products(self) -> int:
        """Matrix-vector products spent so far, per sample."""

    def matvec(self, v: Float[Tensor, "B d"]) -> Float[Tensor, "B d"]:
        """One product for every sample."""

    def matmat(self, V: Float[Tensor, "B d K"]) -> Float[Tensor, "B d K"]:
        """Several products for every sample, columns in, columns out."""


class DenseOperator:
    """Explicit matrices `(B, d, d)` as an operator, for toys and tests."""

    def __init__(self, matrices: Float[Tensor, "B d d"]) -> None:
        checks.batched("matrices", matrices)
        if matrices.ndim != 3 or matrices.shape[1] != matrices.shape[2]:
            raise ValueError(f"matrices must have shape (B, d, d), got {tuple(matrices.shape)}")
        self.matrices, self.products = matrices, 0
        self.batch, self.dim = matrices.shape[:2]
        self.dtype, self.device = matrices.dtype, matrices.device

    def matvec(self, v: Float[Tensor, "B d"]) -> Float[Tensor, "B d"]:
        """A v."""
        return self.matmat(v[:, :, None])[:, :, 0]

    def matmat(self, V: Float[Tensor, "B d K"]) -> Float[Tensor, "B d K"]:
        """A V."""
        self.products += V.shape[2]
        return self.matrices @ V


@dataclass(frozen=True)
class Asymmetry:
    """Estimate of ||J - J^T||_F / ||J||_F per sample: 0 for a gradient field, sqrt(2) for unrelated entries, 2
    at most.

    ratio, standard_error: `(B,)` float64. probes: random directions spent.
    """

    ratio: Tensor
    standard_error: Tensor
    probes: int


class JacobianOperator:
    """The Jacobian of `score` at a batch of points.

    Args:
        score: callable x `(B, *sample_shape)` -> s of the same shape and dtype; row i may depend on row i of
            x only. It is called with the batch repeated several times, so it must not hold per-sample
            conditions of a fixed length; `memlib.score.Score` repeats them itself.
        x: points, floating, finite, non-empty. The network runs in the dtype of x.
        product: see the module.
        chunk_size: rows per pass (samples times directions); None takes 64 on a CPU and 512 on a GPU. When
            memory runs out it is halved and the product goes on.
        dtype: of vectors in and out; float64 keeps bases and small matrices exact whatever the network's
            precision.
        step: displacement of the `difference` product as a length in x; None takes sqrt(machine epsilon)
            max(1, ||x||).

    Raises `ValueError` for bad points or a score that changes shape or dtype, `RuntimeError` inside inference
    mode or after `release()`.

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
        chunk_size: int | None = None,
        dtype: torch.dtype = torch.float64,
        step: float | None = None,
    ) -> None:
        checks.batched("x", x)
        if product not in get_args(Product):
            raise ValueError(f"product must be one of {list(get_args(Product))}, got {product!r}")
        if chunk_size is not None and chunk_size < 1:
            raise ValueError(f"chunk_size must be at least 1, got {chunk_size}")
        if product != "difference" and torch.is_inference_mode_enabled():
            raise RuntimeError(
                f"product={product!r} needs gradients, which torch.inference_mode() switches off for good; "
                "use torch.no_grad() around your code instead, or product='difference'"
            )
        self.score, self.product, self.dtype = score, product, dtype
        self.x = x.detach().contiguous().clone()  # GroupNorm has no second derivative on non-contiguous input
        self.batch, self.dim, self.device = len(x), x[0].numel(), x.device
        self.rows = chunk_size or _DEFAULT_ROWS.get(x.device.type, _DEFAULT_ROWS["cpu"])
        self.products, self.passes = 0, 0
        self.step = step
        self._graphs: dict[int, _Graph] = {}  # copies of the batch -> retained graph
        self._released = False
        self.value = self._graph(1).value.to(dtype)
        """The score at x, `(B, d)` in `dtype`."""

    # -- products ---------------------------------------------------------------------------------------------------

    def matvec(self, v: Float[Tensor, "B d"]) -> Float[Tensor, "B d"]:
        """One product for every sample."""
        if v.shape != (self.batch, self.dim):
            raise ValueError(f"v must have shape {(self.batch, self.dim)}, got {tuple(v.shape)}")
        return self.matmat(v[:, :, None])[:, :, 0]

    def matmat(self, V: Float[Tensor, "B d K"]) -> Float[Tensor, "B d K"]:
        """Several products for every sample; `passes` grows by the sweeps they took."""
        if V.ndim != 3 or V.shape[:2] != (self.batch, self.dim):
            raise ValueError(f"V must have shape ({self.batch}, {self.dim}, K), got {tuple(V.shape)}")
        checks.floating("V", V)
        return self._apply(V, self.product)

    def asymmetry(self, probes: int = 16, generator: torch.Generator | None = None) -> Asymmetry:
        """Estimate ||J - J^T||_F / ||J||_F from random sign vectors: E ||A v||^2 = ||A||_F^2.

        The standard error is the delta method's for a ratio of means.
        """
        if probes < 2:
            raise ValueError(f"an error bar needs at least 2 probes, got {probes}")
        if self.product == "difference":
            raise ValueError(
                "product='difference' has no transpose; build the operator with 'vjp', 'jvp' or 'symmetric'"
            )
        signs = torch.randint(
            2, (self.batch, self.dim, probes), generator=generator, device=_device_of(generator)
        )
        V = (2 * signs - 1).to(self.device, self.dtype)
        forward, backward = self._apply(V, "jvp"), self._apply(V, "vjp")
        skew = (forward - backward).square().sum(1).double()
        size = 0.5 * (forward.square() + backward.square()).sum(1).double()  # both estimate ||J||_F^2
        ratio = skew.mean(1) / size.mean(1)
        spread = (skew - ratio[:, None] * size).std(1) / math.sqrt(probes) / size.mean(1)
        root = ratio.sqrt()
        return Asymmetry(root, spread / (2 * root).clamp(min=torch.finfo(torch.float64).tiny), probes)

    # -- lifetime ---------------------------------------------------------------------------------------------------

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

    # -- machinery --------------------------------------------------------------------------------------------------

    def _apply(self, V: Tensor, product: Product) -> Tensor:
        if self._released:
            raise RuntimeError("this operator was released and its graph freed; build a new JacobianOperator")
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
        return result.reshape(self.batch, copies, self.dim).permute(0, 2, 1).to(self.dtype)

    def _difference(self, rows: Tensor, copies: int) -> Tensor:
        flat = rows.flatten(1)
        length = flat.norm(dim=1, keepdim=True)
        size = self.x.flatten(1).norm(dim=1).clamp(min=1).repeat_interleave(copies)[:, None]
        h = (
            math.sqrt(torch.finfo(self.x.dtype).eps) * size
            if self.step is None
            else torch.full_like(length, self.step)
        )
        h = h / length.clamp(
            min=torch.finfo(self.x.dtype).tiny
        )  # a zero direction moves nothing and gives zero
        x = self.x.repeat_interleave(copies, 0)
        base = self._graph(1).value.repeat_interleave(copies, 0)
        with torch.no_grad():
            moved = self.score(x + (h * flat).reshape(x.shape)).flatten(1)
        return torch.where(length > 0, (moved - base) / h, 0)

    def _graph(self, copies: int, twice: bool = False) -> _Graph:
        twice = twice or self.product in ("jvp", "symmetric")
        graph = self._graphs.get(copies)
        if graph is None or (twice and graph.backward is None):
            # One graph of many copies at a time, or memory would grow with every new number of directions.
            for other in [c for c in self._graphs if c not in (1, copies)]:
                del self._graphs[other]
            self._graphs.pop(copies, None)
            graph = _Graph(self.score, self.x, copies, record=self.product != "difference", twice=twice)
            self._graphs[copies] = graph
            self.passes += copies * (2 if twice else 1)
        return graph

    def _halve(self, error: RuntimeError) -> None:
        out_of_memory = isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error)
        if not out_of_memory or self._copies() == 1:
            raise error
        self.rows = self.batch * (self._copies() // 2)
        for copies in [c for c in self._graphs if c > 1]:
            del self._graphs[copies]
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


class _Graph:
    """The score at `copies` copies of the points with its retained reverse graph, and that of the reverse pass
    if asked.
    """

    def __init__(
        self, score: Callable[[Tensor], Tensor], x: Tensor, copies: int, record: bool, twice: bool
    ) -> None:
        self.input = x.repeat_interleave(copies, 0) if copies > 1 else x.clone()
        self.backward: Tensor | None = None
        with torch.set_grad_enabled(record), _differentiable_attention(twice):
            self.input.requires_grad_(record)
            self.output = score(self.input)
            _check_output(self.output, self.input)
            if twice:
                self.weights = torch.zeros_like(self.output, requires_grad=True)
                (self.backward,) = torch.autograd.grad(
                    self.output, self.input, self.weights, create_graph=True
                )

    @property
    def value(self) -> Tensor:
        return self.output.detach().flatten(1)

    def product(self, rows: Tensor, product: Product) -> Tensor:
        if product == "vjp":
            return self._transposed(rows)
        assert self.backward is not None  # built with twice=True
        (forward,) = torch.autograd.grad(self.backward, self.weights, rows, retain_graph=True)
        return forward if product == "jvp" else 0.5 * (forward + self._transposed(rows))

    def _transposed(self, rows: Tensor) -> Tensor:
        (result,) = torch.autograd.grad(self.output, self.input, rows, retain_graph=True)
        return result


def _differentiable_attention(needed: bool) -> AbstractContextManager[None]:
    """Attention that can be differentiated twice, for this scope only; fused kernels otherwise stay in use."""
    return sdpa_kernel(SDPBackend.MATH) if needed else nullcontext()


def _check_output(s: Tensor, x: Tensor) -> None:
    if not isinstance(s, Tensor) or s.shape != x.shape or s.dtype != x.dtype:
        came = f"{tuple(s.shape)} {s.dtype}" if isinstance(s, Tensor) else type(s).__name__
        raise ValueError(
            f"the score must return the shape and dtype of x, {tuple(x.shape)} {x.dtype}, but returned {came}"
        )
    if not torch.isfinite(s).all():
        rows = (~torch.isfinite(s.detach().flatten(1)).all(1)).nonzero().flatten().tolist()[:8]
        raise ValueError(
            f"the score is NaN or infinite at rows {rows}; check the time, the scale and the dtype of the network"
        )
    if x.requires_grad and not s.requires_grad:
        raise ValueError(
            "the score does not depend on x through autograd (is there a .detach(), torch.no_grad() or numpy inside?); "
            "remove it, or use product='difference'"
        )


def _device_of(generator: torch.Generator | None) -> torch.device:
    return generator.device if generator is not None else torch.device("cpu")
