"""What chapters measure, on a network whose score is linear and known: s(x) = -(1 + label) A x."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from companion import measures
from memlib.networks import DiffusionModel
from memlib.schedule import VariancePreserving
from memlib.score import score_at

SCHEDULE = VariancePreserving.linear(1000)
T, SIDE = 300, 8
ALPHA, SIGMA = SCHEDULE.alpha(T).item(), SCHEDULE.sigma(T).item()
CURVATURE = torch.linspace(0.5, 2.0, SIDE**2).double()


class Linear(nn.Module):
    """Predicts the noise of the score -c A x; without a label c is 1."""

    def __init__(self, curvature):
        super().__init__()
        self.register_buffer("curvature", curvature)

    def forward(self, x, t, label=None):
        factor = torch.ones(len(x)) if label is None else 1.0 + torch.as_tensor(label).expand(len(x))
        return SIGMA * factor[:, None, None, None] * (x.flatten(1) * self.curvature).view_as(x)


@pytest.fixture
def model():
    return DiffusionModel(Linear(CURVATURE), SCHEDULE)


@pytest.fixture
def x():
    return torch.randn(3, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def norms(x, power):
    return (x.flatten(1) * CURVATURE**power).square().sum(1)


def close(found, expected, tolerance=1e-7):
    return torch.allclose(found.double(), torch.as_tensor(expected).double(), rtol=tolerance, atol=tolerance)


def test_noise_depends_on_the_seed_alone(model, x):
    first, again, other = (measures.noised(x, model, T, seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    assert close(first, ALPHA * x + SIGMA * noise, 1e-6)


def test_traces_and_norms_of_a_linear_score(model, x):
    found = measures.traces_and_norms(model, 1, x, T, probes=4)
    # Sign probes give the trace of a diagonal matrix without error.
    assert close(found["-tr H"], 2 * CURVATURE.sum() * SIGMA**2)
    assert close(found["-tr H^3"], 8 * CURVATURE.pow(3).sum() * SIGMA**6)
    assert close(found["-tr H without condition"], CURVATURE.sum() * SIGMA**2)
    assert close(found["norm of s"], 4 * norms(x, 1) * SIGMA**2)
    assert close(found["norm of Hs"], 16 * norms(x, 2) * SIGMA**6)


def test_share_along_the_top_eigenvector_and_curvature_along_x(model, x):
    share, curvature = measures.radial(model, 0, x, T)
    flat = x.flatten(1)
    top = (flat[:, 0] * CURVATURE[0]).square()
    assert close(share, top / norms(x, 1), 1e-4)
    assert close(curvature, -(flat.square() * CURVATURE).sum(1) / flat.square().sum(1) * SIGMA**2)


def test_losses_of_a_linear_score(model, x):
    found = measures.losses(model, x, 0, T, probes=4, seed=1)
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(1), dtype=x.dtype)
    noisy = ALPHA * x + SIGMA * noise
    left = noise - SIGMA * (noisy.flatten(1) * CURVATURE).view_as(x)
    assert close(found["first_loss"], left.square().mean((1, 2, 3)))
    assert close(found["asymmetry"], 0.0, 1e-6)
    assert close(found["mean_eigenvalue"], -CURVATURE.mean() * SIGMA**2)
    assert found["second_loss"].shape == (3,)


def test_statistics_without_a_condition_go_by_their_names(model, x):
    found = measures.unconditional(model, x, T, 4, 8, torch.Generator().manual_seed(0))
    assert list(found) == list(measures.SIGNS)
    assert close(found["score_norm"], norms(x, 1).sqrt() * SIGMA)
    assert close(found["norm_of_hs"], norms(x, 2).sqrt() * SIGMA**3)
    assert close(found["tr_h"], CURVATURE.sum() * SIGMA**2)
    assert (found["count"] < 1).all()


def test_differences_of_linear_scores(model, x):
    labels = torch.tensor([1, 2, 3])
    found = measures.conditional(model, labels, x, T, 4, torch.Generator().manual_seed(0))
    assert close(found["sharpness"], (1 + labels) * CURVATURE.mean() * SIGMA**2)
    assert close(found["difference"], labels * norms(x, 1).sqrt() * SIGMA)
    assert close(found["gain"], labels**2 * norms(x, 2).sqrt() * SIGMA**3, 1e-6)


def test_counts_of_whole_spectra(x):
    bent = DiffusionModel(Linear(torch.where(torch.arange(SIDE**2) < 5, -CURVATURE, CURVATURE)), SCHEDULE)
    found = measures.whole_spectra(bent, 0, x, T)
    assert found["count"].tolist() == [5, 5, 5]
    assert close(found["asymmetry"], 0.0)
    assert found["dimension"].shape == (3,)


def test_only_the_first_known_image_counts_as_the_one():
    known = torch.tensor([0.0, 10.0, 20.0])[:, None, None, None]
    points = torch.tensor([0.1, 4.0, 9.9, 2.0])[:, None, None, None]
    found = measures.copies_of_first(points, known, threshold=0.2)
    assert found["copy"].tolist() == [True, False, False, True]
    assert found["calibrated"].tolist() == [True, False, False, False]
    assert found["other"].tolist() == [False, False, True, False]
    assert found["ratio"][3].item() == pytest.approx(0.25)


def test_areas_are_those_of_each_group():
    table = pd.DataFrame(
        {
            "t": [1, 1, 1, 2, 2],
            "value": [3.0, 1.0, 2.0, 0.0, 1.0],
            "copied": [True, False, False, True, False],
        }
    )
    assert measures.roc_areas(table, ["t"]).to_dict() == {1: 1.0, 2: 0.0}


def test_a_denoised_image_and_its_error(x):
    plain = DiffusionModel(Linear(torch.ones(SIDE**2).double()), SCHEDULE)  # the score of a standard normal
    noise = torch.ones(5, 1, SIDE, SIDE).double()
    guess, error = measures.denoised(score_at(plain, T), x, noise)
    assert close(guess, ALPHA * (ALPHA * x + SIGMA * noise[:3]), 1e-6)
    assert close(error, (guess - x).square().mean((1, 2, 3)))


def test_changes_are_paired():
    each = pd.DataFrame(
        {
            "t": [1, 1, 1, 1],
            "loss": ["plain", "other", "plain", "other"],
            "image": [0, 0, 1, 1],
            "error": [1.0, 2.0, 10.0, 11.0],
            "count": [1.0, 3.0, np.nan, np.nan],
        }
    )
    (row,) = measures.paired_changes(each, ["t"], "loss", "image", {"error": "the error"})
    assert (row["key"], row["quantity"], row["t"]) == ("error", "the error", 1)
    assert (row["plain"], row["other"]) == (5.5, 6.5)
    assert row["change"].bounds == (1.0, 1.0), "pairs differ by one, however far apart they are"
    with pytest.raises(ValueError, match="at least 2 draws"):
        measures.paired_changes(each, ["t"], "loss", "image", {"count": "counts"})
