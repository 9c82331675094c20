"""Scores: callables x -> s at one fixed time and condition, batch first, whatever they come from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from jaxtyping import Float
from torch import Tensor

from memlib.schedule import Prediction, Schedule, score_from_prediction


class Model(Protocol):
    """What `score_at` needs of a model."""

    @property
    def network(self) -> Callable[..., Tensor]:
        """`network(x, t, label)`."""

    @property
    def schedule(self) -> Schedule:
        """The noise process."""

    @property
    def prediction(self) -> Prediction:
        """What the network predicts."""


class Score:
    """The gradient of a log density at noise level (alpha, sigma).

    `conditional - unconditional` is a `ScoreDifference`, a score too; both must be at the same level.

    Args:
        fn: x `(B, *sample_shape)` -> s of the same shape and dtype, each row from its own row of x.
        alpha: scale of x_0 in x_t = alpha x_0 + sigma eps.
        sigma: scale of the noise, positive.
        name: for labels of figures and messages.

    Raises:
        ValueError: sigma is not positive.

    Example:
        >>> import torch
        >>> s = Score(lambda x: -x, alpha=0.6, sigma=0.8)
        >>> (s - s)(torch.ones(1, 2)).tolist()
        [[0.0, 0.0]]
    """

    def __init__(
        self, fn: Callable[[Tensor], Tensor], *, alpha: float, sigma: float, name: str = "score"
    ) -> None:
        if not sigma > 0:
            raise ValueError(f"a diffused density needs sigma > 0, got sigma={sigma}")
        self.fn, self.alpha, self.sigma, self.name = fn, float(alpha), float(sigma), name

    def __call__(self, x: Float[Tensor, "B ..."]) -> Float[Tensor, "B ..."]:
        """The score s(x), same shape as `x`."""
        return self.value(x, self.fn(x))

    def value(self, x: Tensor, output: Tensor) -> Tensor:  # noqa: ARG002
        """The score at x from `output`, the value of `fn` there."""
        return output

    def __sub__(self, other: Score) -> ScoreDifference:
        return ScoreDifference(self, other)

    def epsilon(self, x: Float[Tensor, "B ..."]) -> Float[Tensor, "B ..."]:
        """The noise prediction -sigma s(x)."""
        return -self.sigma * self(x)

    def denoised(self, x: Float[Tensor, "B ..."]) -> Float[Tensor, "B ..."]:
        """The mean of x_0 given x_t = x, (x + sigma^2 s(x)) / alpha: Tweedie's formula (Efron 2011).

        Exact for the score of the diffused density; of a network it is the network's estimate.
        """
        x0: Tensor = (x + self.sigma**2 * self(x)) / self.alpha
        return x0

    def parts(self, x: Float[Tensor, "B ..."]) -> tuple[Tensor, Tensor]:
        """Estimates of x_0 and of the noise in x, each shaped like x; from one evaluation."""
        epsilon = self.epsilon(x)
        return (x - self.sigma * epsilon) / self.alpha, epsilon

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, alpha={self.alpha:.4g}, sigma={self.sigma:.4g})"


class Denoiser(Score):
    """A score whose `fn` returns the mean of x_0 given x; differences are as accurate as `fn` near alpha = 0.

    At alpha = 0 every score is -x / sigma^2, whatever the data; there the mean itself replaces the score,
    and its Jacobian the Hessian.
    """

    @property
    def unit(self) -> float:
        """The score difference of one unit of a difference of means: alpha / sigma^2, or 1 at alpha = 0."""
        return self.alpha / self.sigma**2 if self.alpha else 1.0

    def value(self, x: Tensor, output: Tensor) -> Tensor:
        """The score at x from `output`, the mean of x_0."""
        return (self.alpha * output - x) / self.sigma**2 if self.alpha else output

    def epsilon(self, x: Float[Tensor, "B ..."]) -> Float[Tensor, "B ..."]:
        """The noise in x."""
        return self.parts(x)[1]

    def denoised(self, x: Float[Tensor, "B ..."]) -> Float[Tensor, "B ..."]:
        """The mean of x_0 given x_t = x."""
        return self.fn(x)

    def parts(self, x: Float[Tensor, "B ..."]) -> tuple[Tensor, Tensor]:
        """Estimates of x_0 and of the noise in x, each shaped like x."""
        x0 = self.fn(x)
        return x0, (x - self.alpha * x0) / self.sigma


class ScoreDifference(Score):
    """s_Delta = conditional - unconditional (Wen et al. 2024; the paper, section 4.2).

    Of denoisers it is taken of their means: near alpha = 0 a difference of their scores would be rounding.

    Args:
        conditional: the score under a condition.
        unconditional: the score without it, at the same noise level.

    Raises:
        ValueError: two noise levels.
    """

    def __init__(self, conditional: Score, unconditional: Score) -> None:
        if (conditional.alpha, conditional.sigma) != (unconditional.alpha, unconditional.sigma):
            raise ValueError(
                f"a score difference needs one noise level, got {conditional!r} and {unconditional!r}; "
                "take both at the same t"
            )
        self.conditional, self.unconditional = conditional, unconditional

        def fn(x: Tensor) -> Tensor:
            if isinstance(conditional, Denoiser) and isinstance(unconditional, Denoiser):
                return conditional.unit * (conditional.fn(x) - unconditional.fn(x))
            return conditional(x) - unconditional(x)

        super().__init__(
            fn,
            alpha=conditional.alpha,
            sigma=conditional.sigma,
            name=f"{conditional.name} - {unconditional.name}",
        )


def score_at(model: Model, t: float, label: int | Tensor | None = None, *, name: str | None = None) -> Score:
    """Score of a model at time `t` under `label`.

    Called on a batch that holds every sample several times in a row (`x.repeat_interleave(k, 0)`), the score
    repeats the labels.

    Args:
        model: network, schedule and kind of prediction.
        t: time of the schedule.
        label: None for the unconditional score, an int, or one integer per sample `(B,)`.
        name: the name of the score; None makes one from t and the label.

    Raises:
        ValueError: for a time outside the schedule or labels that are no integers.

    Example:
        >>> import torch
        >>> from types import SimpleNamespace
        >>> from memlib.schedule import VariancePreserving
        >>> model = SimpleNamespace(schedule=VariancePreserving.linear(), prediction="epsilon")
        >>> model.network = lambda x, t, label: x
        >>> score_at(model, 500)(torch.zeros(4, 2)).shape
        torch.Size([4, 2])
    """
    alpha, sigma = model.schedule.alpha(t).item(), model.schedule.sigma(t).item()
    if isinstance(label, Tensor) and (label.ndim != 1 or label.dtype.is_floating_point):
        raise ValueError(
            f"label must be an int or an integer tensor (B,), got {label.dtype} of shape {tuple(label.shape)}"
        )

    def fn(x: Tensor) -> Tensor:
        prediction = model.network(x, t, _repeated(label, len(x)))
        return score_from_prediction(
            prediction, x, x.new_tensor(alpha), x.new_tensor(sigma), model.prediction
        )

    given = "" if label is None else f", label {label.tolist() if isinstance(label, Tensor) else label}"
    return Score(fn, alpha=alpha, sigma=sigma, name=name or f"model at t={t}{given}")


def preconditioned(network: Callable[..., Tensor], data: float = 0.5) -> Callable[..., Tensor]:
    """The denoiser of an EDM network F, a network that predicts "sample" of a `VarianceExploding` process.

    D(x; sigma) = c_skip x + c_out F(c_in x, log(sigma) / 4), so that input and target of F have unit variance
    (Karras et al. 2022, table 1).

    Args:
        network: F, called with x `(B, *sample_shape)`, the noise as a scalar tensor, and a label.
        data: standard deviation of the data.
    """

    def denoiser(x: Tensor, t: float, label: int | Tensor | None = None) -> Tensor:
        sigma = x.new_tensor(t)
        total = sigma**2 + data**2
        raw = network(x / total.sqrt(), sigma.log() / 4, label)
        return data**2 / total * x + sigma * data / total.sqrt() * raw

    return denoiser


def _repeated(label: int | Tensor | None, rows: int) -> int | Tensor | None:
    if not isinstance(label, Tensor):
        return label
    if rows % len(label):
        raise ValueError(f"{len(label)} labels do not fit a batch of {rows}; give one label per sample")
    return label.repeat_interleave(rows // len(label))
