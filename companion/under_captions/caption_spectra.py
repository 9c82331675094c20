"""Spectra under captions: of the conditional score, of the unconditional one and of their difference."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jaxtyping import Float, Float64
from torch import Tensor
from tqdm import tqdm

from companion.under_captions.curvature import Curvature, krylov_curvature, whole_curvature
from memlib import checks
from memlib.hessian import DenseOperator, JacobianOperator, dense
from memlib.hessian.dense import DenseSpectrum

if TYPE_CHECKING:
    from memlib.score import Score
    from memlib.text_to_image.model import TextToImage
    from memlib.text_to_image.prompts import Prompts


@dataclass(frozen=True, eq=False)
class CaptionSpectra:
    """Curvature at one time.

    Attributes:
        t: time index.
        sigma: noise scale there; eigenvalues times sigma^2 have one scale at all times.
        conditional: the curvature of the conditional score s(x, c).
        unconditional: the curvature of the unconditional score s(x).
        difference: the curvature of s(x, c) - s(x).
    """

    t: int
    sigma: float
    conditional: Curvature
    unconditional: Curvature
    difference: Curvature

    def statistics(self) -> dict[str, Float64[Tensor, "P n"]]:
        """Those of the conditional score (`Curvature.statistics`), and what the other two add.

        "unconditional": number of its non-negative eigenvalues; "shift": mean eigenvalue of the difference
        times sigma^2; "gap": its squared norm times sigma^2 over d; "energy": the sum of its squared
        eigenvalues times sigma^4, of Ritz values where these are what there is.
        """
        gap = self.difference.statistics(self.sigma)
        return self.conditional.statistics(self.sigma) | {
            "unconditional": self.unconditional.count.double(),
            "shift": gap["mean"],
            "gap": gap["score"],
            "energy": self.difference.eigenvalues.square().sum(2) * self.sigma**4,
        }


def conditional_curvature(
    model: TextToImage,
    t: int,
    prompts: Prompts,
    x: Float[Tensor, "n ..."] | Float[Tensor, "P n ..."],
    *,
    krylov: int | None = None,
    at_once: int = 16,
) -> Curvature:
    """Curvature of the score under the caption alone, for a third of the work or half; arguments as below."""
    _check(model, prompts, x, krylov, at_once)
    score = model.score
    parts = []
    for some, points in _pieces(model, prompts, x, at_once):
        if krylov is None:
            found = whole_curvature(*_dense(score(t, some), points), points)
        else:
            found = krylov_curvature(score(t, some), points, krylov)
        parts.append(_grouped(found, len(points) // len(some)))
    return Curvature.joined(parts)


def caption_spectra(
    model: TextToImage,
    t: int,
    prompts: Prompts,
    x: Float[Tensor, "n ..."] | Float[Tensor, "P n ..."],
    *,
    krylov: int | None = None,
    at_once: int = 16,
    progress: bool = False,
) -> CaptionSpectra:
    """Spectra of the three Jacobians of every prompt at its points (the paper, figures 3 and 5).

    Whole spectra take d products for each prompt and point, and d more for the unconditional score, for which
    points that all prompts share are computed once. The matrices of `at_once` points are held together.

    Args:
        model: the text-to-image model.
        t: time index.
        prompts: P prompts.
        x: n points that all prompts share, or n points of each prompt; in the model's dtype.
        krylov: None for whole spectra, which need d = 10^3 or less; else the number of Lanczos steps.
        at_once: points in one batched call, at least those of one prompt.
        progress: show a progress bar over the prompts.

    Raises:
        ValueError: `x` is of another shape, or `at_once` or `krylov` is below 1.

    Example (of a model in a folder):
        ``caption_spectra(model, 981, model.encode(["a cat"]), model.noise(2, generator)).conditional.count``
    """
    _check(model, prompts, x, krylov, at_once)
    measure = _Whole(model, t) if krylov is None else _Krylov(model, t, krylov)
    if _shared(model, x):
        measure.know(x)
    parts = [
        [_grouped(found, len(points) // len(some)) for found in measure(some, points)]
        for some, points in _pieces(model, prompts, x, at_once, f"spectra at t={t}" if progress else "")
    ]
    kinds = (Curvature.joined(of_kind) for of_kind in zip(*parts, strict=True))
    return CaptionSpectra(t, model.level(t)["sigma"], *kinds)


def _shared(model: TextToImage, x: Tensor) -> bool:
    """Whether all prompts have the same points."""
    return x.ndim == 1 + len(model.sample_shape)


def _check(model: TextToImage, prompts: Prompts, x: Tensor, krylov: int | None, at_once: int) -> None:
    if at_once < 1 or (krylov is not None and krylov < 1):
        raise ValueError(f"at_once and krylov must be at least 1, got {at_once} and {krylov}")
    shared = _shared(model, x)
    if not shared and x.shape[:1] != (len(prompts),):
        raise ValueError(
            f"x must hold points (n, *{model.sample_shape}) for all prompts or (P, n, *{model.sample_shape}) "
            f"with P = {len(prompts)}, got shape {tuple(x.shape)}"
        )
    checks.batched("x", x if shared else x.flatten(0, 1), model.sample_shape)


def _pieces(
    model: TextToImage, prompts: Prompts, x: Tensor, at_once: int, label: str = ""
) -> Iterator[tuple[Prompts, Tensor]]:
    """Some prompts and their points, one after the other, as many as fit."""
    shared = _shared(model, x)
    together = max(1, at_once // (len(x) if shared else x.shape[1]))
    for start in tqdm(range(0, len(prompts), together), desc=label, disable=not label):
        some = prompts[start : start + together]
        yield some, some.tiled(x) if shared else x[start : start + together].flatten(0, 1)


def _grouped(found: Curvature, n: int) -> Curvature:
    return found.changed(lambda v: v.unflatten(0, (-1, n)).cpu())


def _dense(score: Score, x: Tensor) -> tuple[DenseSpectrum, Tensor]:
    with JacobianOperator(score, x, check=False) as op:
        return dense(op), op.value


class _Whole:
    """The three Jacobians as matrices."""

    def __init__(self, model: TextToImage, t: int) -> None:
        self.model, self.t = model, t
        self.known: tuple[DenseSpectrum, Tensor] | None = None

    def know(self, x: Tensor) -> None:
        """Compute the unconditional part at points that all prompts share."""
        self.known = _dense(self.model.score(self.t), x)

    def __call__(self, prompts: Prompts, x: Tensor) -> list[Curvature]:
        ours, value = _dense(self.model.score(self.t, prompts), x)
        if self.known is None:
            theirs, base = _dense(self.model.score(self.t), x)
            unconditional = whole_curvature(theirs, base, x)
            matrices = theirs.matrices
        else:
            theirs, base = self.known
            copies = len(x) // len(base)
            unconditional = whole_curvature(theirs, base, x[: len(base)]).changed(lambda v: _tiled(v, copies))
            matrices, base = _tiled(theirs.matrices, copies), _tiled(base, copies)
        gap = dense(DenseOperator(ours.matrices - matrices))
        return [whole_curvature(ours, value, x), unconditional, whole_curvature(gap, value - base, x)]


class _Krylov:
    """The three Jacobians through products."""

    def __init__(self, model: TextToImage, t: int, steps: int) -> None:
        self.model, self.t, self.steps = model, t, steps
        self.known: Curvature | None = None

    def know(self, x: Tensor) -> None:
        """Compute the unconditional part at points that all prompts share."""
        self.known = krylov_curvature(self.model.score(self.t), x, self.steps)

    def __call__(self, prompts: Prompts, x: Tensor) -> list[Curvature]:
        known = self.known
        if known is None:
            unconditional = krylov_curvature(self.model.score(self.t), x, self.steps)
        else:
            unconditional = known.changed(lambda v: _tiled(v, len(x) // len(v)))
        ours, gap = self.model.score(self.t, prompts), self.model.difference(self.t, prompts)
        return [
            krylov_curvature(ours, x, self.steps),
            unconditional,
            krylov_curvature(gap, x, self.steps),
        ]


def _tiled(values: Tensor, copies: int) -> Tensor:
    return values.repeat(copies, *[1] * (values.ndim - 1))
