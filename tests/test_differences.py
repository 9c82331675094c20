"""Behaviours of the released code that the book describes, restated in a few lines each and checked."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score, roc_curve

from companion.gaussians import random_mixture
from memlib import sharpness
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
    sigma = VariancePreserving.scaled_linear().sigma(981).item()
    assert 1.001 < 1 / sigma < 1.005


def nearest_tpr(labels: np.ndarray, scores: np.ndarray, target: float) -> tuple[float, float]:
    """FPR and TPR at the point of the ROC curve whose FPR is nearest to the target."""
    fpr, tpr, _ = roc_curve(labels, scores)
    k = int(np.argmin(np.abs(fpr - target)))
    return float(fpr[k]), float(tpr[k])


def test_the_nearest_false_positive_rate_may_lie_above_its_target():
    negatives, positives = np.arange(60.0), np.array([59.0, 59.0, 30.0, 61.0])
    labels, scores = np.r_[np.zeros(60), np.ones(4)], np.r_[negatives, positives]
    fpr, tpr = nearest_tpr(labels, scores, 0.01)
    assert fpr > 0.01
    strict_fpr, strict_tpr, _ = roc_curve(labels, scores)
    assert tpr > strict_tpr[strict_fpr <= 0.01].max()


def test_flipping_labels_below_one_half_hides_an_inverted_statistic():
    labels, inverted = np.r_[np.zeros(10), np.ones(10)], np.r_[np.arange(10, 20), np.arange(10)]
    auc = roc_auc_score(labels, inverted)
    assert auc == 0
    assert max(auc, 1 - auc) == 1


def test_norm_and_squared_norm_rank_alike_for_one_noise_and_not_always_for_several():
    one, other = np.array([1.0, 5.0]), np.array([3.5, 3.5])
    assert one.mean() < other.mean()
    assert (one**2).mean() > (other**2).mean()
    single = np.random.default_rng(0).random(20)
    assert (np.argsort(single) == np.argsort(single**2)).all()


@pytest.mark.parametrize(
    ("dim", "weight", "thresholds"), [(16384, 0.05, (7.6, 9.0)), (36864, 0.01, (4.0, 6.0))]
)
def test_printed_thresholds_fit_the_unsquared_norm_only(dim, weight, thresholds):
    norm = torch.randn(64, dim, generator=torch.Generator().manual_seed(0)).norm(dim=1)
    assert (weight * norm).max() < thresholds[0]
    assert (weight * norm.square()).min() > 30 * thresholds[1]


def test_released_loss_is_a_displaced_norm_and_not_the_printed_difference():
    """With a score difference that is constant the printed first term is 0, the released one is its norm."""
    shift = torch.tensor([3.0, 4.0]).double()

    def s_delta(x: torch.Tensor) -> torch.Tensor:
        return shift.expand(len(x), -1)

    x = torch.zeros(1, 2).double()
    displaced = x + s_delta(x) / s_delta(x).norm()
    assert (s_delta(displaced) - s_delta(x)).square().sum() == 0
    assert s_delta(displaced).norm() == 5


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
