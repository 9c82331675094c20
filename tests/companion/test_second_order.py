"""The ablation of the second-order loss: errors against the exact mixture, ratios that pair by training."""

import numpy as np
import pandas as pd
import pytest
import torch

from companion import second_order
from companion.recipes.mixture import TWO_MODES, two_modes
from memlib.score import Score


class Exact:
    """A model whose score is that of the mixture, times a factor, with a rotation added."""

    def __init__(self, factor=1.0, rotation=0.0):
        self.schedule, self.factor, self.rotation = TWO_MODES.load().model.schedule, factor, rotation


def scored(model, t):
    alpha, sigma = model.schedule.alpha(t), model.schedule.sigma(t)
    exact = two_modes().diffused(alpha, sigma)
    turn = model.rotation * torch.tensor([[0.0, 1.0], [-1.0, 0.0]]).double()

    def fn(x):
        return (model.factor * exact.score(x.double()) + x.double() @ turn).to(x.dtype)

    return Score(fn, alpha=alpha, sigma=sigma)


@pytest.fixture
def exact_scores(monkeypatch):
    monkeypatch.setattr(second_order, "score_at", scored)


def generator():
    return torch.Generator().manual_seed(0)


def test_errors_are_relative_to_the_exact_score_and_hessian(exact_scores):
    found = second_order.errors(Exact(1.1), [800, 400], generator())
    assert found["t"].tolist() == [800, 400]
    assert found["score error"].tolist() == pytest.approx([0.1, 0.1], rel=1e-3)
    assert found["Hessian error"].tolist() == pytest.approx([0.1, 0.1], rel=1e-3)
    assert found["asymmetry"].max() < 1e-5


def test_a_rotation_is_seen_as_asymmetry(exact_scores):
    """At t = 999 H is nearly -I, so that ||J - J^T|| / ||J|| is 2 r / sqrt(1 + r^2)."""
    found = second_order.errors(Exact(rotation=0.5), [999], generator())
    assert found["asymmetry"].item() == pytest.approx(1 / np.sqrt(1.25), rel=1e-2)


def test_ratios_pair_by_training():
    """Trainings differ by a factor of a thousand; the variant halves the error of each."""
    rows = [
        {"key": key, "variant": key, "training": k, "t": t, "score error": factor * 10.0**k * noise,
         "Hessian error": factor * 10.0**k * noise, "asymmetry": 1.0}
        for key, factor in (("plain", 1.0), ("weight_1", 0.5))
        for k, noise in enumerate((1.0, 1.0, 1.2 if key == "weight_1" else 1.0, 1.0))
        for t in (5, 50)
    ]  # fmt: skip
    (row,) = second_order.ratios(pd.DataFrame(rows), "plain")
    assert (row["key"], row["base"]) == ("weight_1", "plain")
    assert row["Hessian error"].value == pytest.approx(0.5 * 1.2**0.25)
    assert row["Hessian error"].n == 4
    assert row["Hessian error"].low < 0.5 < row["Hessian error"].high


def test_networks_of_one_training_start_alike_and_differ_by_the_loss(tmp_path):
    chosen = second_order.variants([0.5, 2.0], longer=2)
    assert [v.key for v in chosen] == ["plain", "longer", "direction", "whole", "weight_2"]
    assert [(v.weight, v.projections, v.longer) for v in chosen[1:4]] == [(0, 0, 2), (0.5, 1, 1), (0.5, 0, 1)]
    found = second_order.ablation(chosen[::3], trainings=1, steps=3, times=[400], folder=tmp_path)
    assert found["key"].tolist() == ["plain", "whole"]
    assert found["Hessian error"].nunique() == 2
    assert (tmp_path / "plain-0").is_dir()
