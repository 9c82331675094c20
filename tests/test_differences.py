"""Where the released code departs from the paper: what it does in a few lines, against what is done here."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score, roc_curve

from companion.comparison import SailPrinted, SailReleased
from companion.gaussians import random_mixture
from memlib import sharpness
from memlib.detection import evaluate
from memlib.mixture import GaussianMixture
from memlib.schedule import VariancePreserving, score_from_prediction
from memlib.score import Score

ALPHA, SIGMA = 0.8, 0.6


def velocity(data: GaussianMixture, x: torch.Tensor) -> torch.Tensor:
    """What a perfect v-prediction network returns: alpha E[eps | x] - sigma E[x_0 | x]."""
    score = data.diffused(ALPHA, SIGMA).score(x)
    eps, x0 = -SIGMA * score, (x + SIGMA**2 * score) / ALPHA
    return ALPHA * eps - SIGMA * x0


def coded(v: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """The released formula, (sqrt(a) v - x) / (1 - a): that of a prediction of x_0, with v in its place."""
    return (ALPHA * v - x) / SIGMA**2


def two_densities() -> tuple[GaussianMixture, GaussianMixture, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    conditional, unconditional = (random_mixture(3, 4, generator) for _ in range(2))
    return conditional, unconditional, torch.randn(50, 4, dtype=torch.float64, generator=generator)


def test_the_coded_velocity_formula_is_wrong_for_scores_and_right_up_to_a_factor_for_differences():
    conditional, unconditional, x = two_densities()
    v, v_0 = velocity(conditional, x), velocity(unconditional, x)
    exact = conditional.diffused(ALPHA, SIGMA).score(x)
    levels = torch.tensor(ALPHA).double(), torch.tensor(SIGMA).double()
    assert torch.allclose(score_from_prediction(v, x, *levels, "v"), exact)
    assert (coded(v, x) - exact).norm() > 0.5 * exact.norm()
    difference = exact - unconditional.diffused(ALPHA, SIGMA).score(x)
    assert torch.allclose(coded(v, x) - coded(v_0, x), -difference / SIGMA)


def test_at_the_first_step_that_factor_is_near_minus_one():
    schedule = VariancePreserving.scaled_linear()
    sigma = schedule.sigma(schedule.timesteps(50, "leading")[0]).item()
    assert 1.001 < 1 / sigma < 1.005


def nearest(labels: np.ndarray, scores: np.ndarray, target: float) -> tuple[float, float]:
    """As released: FPR and TPR at the point of the ROC curve whose FPR is nearest to the target."""
    fpr, tpr, _ = roc_curve(labels, scores)
    k = int(np.argmin(np.abs(fpr - target)))
    return float(fpr[k]), float(tpr[k])


def test_the_nearest_false_positive_rate_may_lie_above_its_target_and_the_one_reported_here_does_not():
    labels = np.r_[np.zeros(60), np.ones(4)]
    scores = np.r_[np.arange(60.0), [59.0, 59.0, 30.0, 61.0]]
    fpr, tpr = nearest(labels, scores, 0.01)
    assert (fpr, tpr) == (pytest.approx(1 / 60), 0.75)
    found = evaluate(scores, labels, target=0.01)
    assert (found.fpr, found.tpr.value) == (0.0, 0.25)


def test_an_inverted_statistic_keeps_its_area_below_one_half():
    labels, inverted = np.r_[np.zeros(10), np.ones(10)], np.r_[np.arange(10, 20), np.arange(10)]
    released = roc_auc_score(labels, inverted)
    released = max(released, 1 - released)  # the labels are swapped
    found = evaluate(inverted, labels)
    assert (released, found.auc.value) == (1.0, 0.0)
    assert found.auc.high < 0.5
    assert evaluate(inverted, labels, higher_is_memorized=False).auc.value == 1.0


def test_norm_and_squared_norm_rank_alike_for_one_noise_and_not_always_for_several():
    labels = np.array([True, True, False, False])
    norms = np.array([[1.0, 5.0], [1.0, 5.2], [3.5, 3.5], [3.4, 3.4]])  # two noises of each prompt
    assert evaluate(norms, labels).auc.value == 0.0
    assert evaluate(norms**2, labels).auc.value == 1.0
    for single in norms.T:
        norm, square = evaluate(single, labels), evaluate(single**2, labels)
        assert norm.auc == square.auc
        assert norm.tpr == square.tpr


class Constant:
    """A score difference of one value everywhere, of a model that predicts the velocity or the noise."""

    def __init__(self, value: torch.Tensor, prediction: str = "v") -> None:
        self.value, self.sigma, self.model = value, SIGMA, SimpleNamespace(prediction=prediction)

    def __call__(self, x: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        return self.value.expand_as(x)


@pytest.mark.parametrize(
    ("dim", "alpha", "thresholds"), [(16384, 0.05, (7.6, 9.0)), (36864, 0.01, (4.0, 6.0))]
)
def test_printed_thresholds_fit_the_unsquared_norm_only(dim, alpha, thresholds):
    """Where the score difference is 0 the objective is the penalty of the noise alone."""
    noise, rows = torch.randn(64, dim, generator=torch.Generator().manual_seed(0)), torch.arange(64)
    norm, squared = (
        SailPrinted(1.0, alpha=alpha, penalty=penalty).objective(Constant(torch.zeros(dim)), noise, rows)
        for penalty in ("norm", "squared")
    )
    assert norm.max() < thresholds[0]
    assert squared.min() > 30 * thresholds[1]


@pytest.mark.parametrize(("prediction", "unit"), [("v", 1.0), ("epsilon", SIGMA)])
def test_released_loss_is_a_displaced_norm_and_not_the_printed_difference(prediction, unit):
    """With a score difference that is constant the printed first term is 0, the released one is its norm."""
    difference = Constant(torch.tensor([3.0, 4.0]).double(), prediction)
    x, rows = torch.zeros(1, 2).double(), torch.zeros(1, dtype=torch.int64)
    assert SailPrinted(1.0).objective(difference, x, rows).item() == 0
    assert SailReleased(1.0).objective(difference, x, x, rows).item() == pytest.approx(5 * unit)


def test_the_transpose_changes_the_statistic_where_a_jacobian_is_not_symmetric():
    J = torch.tensor([[1.0, 2.0], [0.0, 1.0]]).double()
    level = {"alpha": ALPHA, "sigma": SIGMA}
    difference = Score(lambda x: x @ J.mT, **level) - Score(torch.zeros_like, **level)
    x = torch.tensor([[1.0, 1.0]]).double()
    forward, reverse = (sharpness.curvature_gain(difference, x, product).item() for product in ("jvp", "vjp"))
    s = J @ x[0]
    assert forward == pytest.approx((J @ s).norm().item())
    assert reverse == pytest.approx((J.mT @ s).norm().item())
    assert abs(forward - reverse) > 0.1 * forward
