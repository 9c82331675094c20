"""Networks on training sets of several sizes: on tensors and linear scores whose answers are known."""

from __future__ import annotations

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from torch import nn

from companion import measures, plots, set_sizes
from memlib import hessian, intervals
from memlib.copies import Neighbours
from memlib.intervals import Interval
from memlib.networks import DiffusionModel
from memlib.schedule import VariancePreserving

SCHEDULE, SIDE, T = VariancePreserving.linear(1000), 16, 300
SIGMA = SCHEDULE.sigma(T).item()


class Linear(nn.Module):
    """Predicts the noise of the score -c x."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x, t, label=None):
        return SIGMA * self.factor * x


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def noise(count, seed=0, side=SIDE):
    return torch.randn(count, 3, side, side, generator=generator(seed))


def neighbours(distance, second):
    distance, second = (torch.tensor(values).double() for values in (distance, second))
    return Neighbours(distance, second, torch.zeros(len(distance), dtype=torch.int64))


def test_copies_by_a_third_by_the_calibrated_ratio_and_by_distance():
    held_out = neighbours([5.0] * 98 + [4.0, 6.0], [10.0] * 100)
    found = set_sizes.copy_shares(neighbours([0.1, 3.0, 4.5, 7.0], [10.0, 10.0, 10.0, 10.0]), held_out)
    assert found["ratio"] == pytest.approx(0.5)
    shares = {
        name: found[name].value for name in ("copied", "copied_calibrated", "too_near", "too_far", "false")
    }
    assert shares == {
        "copied": 0.5,
        "copied_calibrated": 0.75,
        "too_near": 0.75,
        "too_far": 0.25,
        "false": 0.0,
    }
    assert found["held-out distance"] == 5


def test_quality_is_one_for_images_like_the_real_ones_and_falls_with_blur_and_grey():
    real = noise(60)
    alike = set_sizes.quality(noise(60, seed=1), real)
    assert alike["detail"].value == pytest.approx(1, abs=0.1)
    assert alike["colour"].value == pytest.approx(1, abs=0.1)
    assert set_sizes.quality(0.5 * noise(60, seed=1), real)["detail"].value == pytest.approx(0.25, abs=0.05)
    grey = noise(60, seed=1)[:, :1].expand(-1, 3, -1, -1)
    assert set_sizes.quality(grey, real)["colour"].value == pytest.approx(0, abs=1e-6)


def test_estimates_stand_beside_whole_spectra():
    diagonal = torch.linspace(-2.0, 0.5, 40).double()
    x = torch.randn(2, 40, generator=generator(), dtype=torch.float64)
    with hessian.JacobianOperator(lambda v: v * diagonal, x) as op:
        whole, density = hessian.dense(op), hessian.density(op, probes=4, steps=40)
    rows = set_sizes.beside_whole_spectra(whole, density, 0.5)
    assert [(row["name"], row["sample"]) for row in rows] == [
        (name, k) for name in ("tr_h", "count", "local_dimension") for k in (0, 1)
    ]
    assert rows[0]["whole"] == pytest.approx(-0.25 * diagonal.sum().item())
    assert rows[2]["whole"] == (diagonal >= 0).sum()
    for row in rows[:4]:
        assert row["estimate"].value == pytest.approx(row["whole"], rel=0.5)
        assert row["estimate"].low <= row["estimate"].value <= row["estimate"].high


def test_correlations_with_the_other_network_and_with_training_images():
    ours = noise(6)
    found = set_sizes.correlations(ours, ours, noise(6, seed=1), torch.cat([noise(5, seed=2), ours]))
    assert found["same_noise"].value == pytest.approx(1)
    assert found["nearest_image_of_the_other_half"].value == pytest.approx(1)
    assert abs(found["other_noise"].value) < 0.1
    assert abs(found["nearest_image"].value) < 0.1


def test_denoising_of_linear_scores():
    held_out, seen, draws = noise(8), 0 * noise(8), noise(8, seed=1)
    model = DiffusionModel(Linear(1.0), SCHEDULE)
    found = set_sizes.denoising(model, DiffusionModel(Linear(1.0), SCHEDULE), T, held_out, seen, draws)
    alpha = SCHEDULE.alpha(T).item()
    noisy = alpha * held_out + SIGMA * draws
    guess = (noisy - SIGMA**2 * noisy) / alpha
    assert found["error"] == pytest.approx((guess - held_out).square().mean().item(), rel=1e-4)
    assert found["disagreement"].value == 0
    other = set_sizes.denoising(model, DiffusionModel(Linear(0.5), SCHEDULE), T, held_out, seen, draws)
    theirs = (noisy - 0.5 * SIGMA**2 * noisy) / alpha
    errors = [(some - held_out).square().mean((1, 2, 3)) for some in (guess, theirs)]
    expected = ((guess - theirs).square().mean((1, 2, 3)) / sum(errors)).mean().item()
    assert other["disagreement"].value == pytest.approx(expected, rel=1e-4)
    assert set_sizes.denoising(model, None, T, held_out, seen, draws)["disagreement"] is None


def test_areas_pool_the_samples_that_a_question_names():
    judging = {
        (64, T, "a"): torch.tensor([3.0, 4.0, 99.0]),
        (128, T, "a"): torch.tensor([1.0, 1.5, 2.0, 2.5]),
    }
    questions = {
        "pooled": {64: torch.tensor([True, True]), 128: torch.tensor([False, False])},
        "within": {128: torch.tensor([True, True, False, False])},
    }
    found = set_sizes.areas(judging, questions, [T])
    assert found["pooled", T, "a"].value == 1
    assert found["pooled", T, "a"].n == 2
    assert found["within", T, "a"].value == 0


def test_figures_show_what_they_are_given():
    one = [Interval(0.5, 0.25, 0.75, 0.95, 4)] * 2
    near = neighbours([1.0, 2.0], [3.0, 4.0])
    shares, axes = {"below 1/3": one, "calibrated": one}, {64: near, 128: near}
    figure = set_sizes.figures.copies(shares, axes, axes, 4)
    assert [label.get_text() for label in figure.axes[1].get_xticklabels()] == ["64", "128"]
    assert figure.axes[0].get_legend_handles_labels()[1] == list(shares)
    correlations = {(pair, size): one[0] for pair in set_sizes.figures.PAIRS for size in (64, 128)}
    series, colors = {"N = 64": one}, {"N = 64": plots.GENERAL}
    figure = set_sizes.figures.agreement(correlations, series, series, [900, 10], colors)
    assert figure.axes[0].get_legend_handles_labels()[1][0] == "same noise"
    assert figure.axes[2].get_yscale() == "log"
    areas = {("pooled", t, name): one[0] for t in (900, 10) for name in measures.TITLES}
    figure = set_sizes.figures.areas(areas, {"pooled": "all"}, [plots.NEUTRAL])
    assert [ax.get_title(loc="left") or ax.get_title() for ax in figure.axes[:-1]] == list(
        measures.TITLES.values()
    )
    assert figure.axes[0].lines[0].get_xdata().tolist() == [900, 10]
    plt.close("all")


def test_complexity_is_bits_a_pixel_of_a_png():
    flat = torch.zeros(3, 32, 32)
    rough = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    plain, noisy = set_sizes.complexities(torch.stack([flat, rough]))
    assert plain < 1
    assert 24 < noisy < 26  # noise of three channels cannot be compressed


def test_what_complexity_explains_is_taken_off():
    rng = np.random.default_rng(0)
    bits, unseen = rng.uniform(2, 9, 200), rng.uniform(2, 9, 50)
    copied = np.arange(200) < 100
    bits[copied] -= 1.5  # copies are smoother, and a rough image has a large statistic
    values = 5 + 3 * np.log(bits) + 0.4 * copied + rng.normal(0, 0.1, 200)
    assert intervals.roc_area(values[copied], values[~copied]) < 0.5
    rest = set_sizes.beyond_complexity(values, bits, 5 + 3 * np.log(unseen), unseen)
    np.testing.assert_allclose(rest, values - 5 - 3 * np.log(bits), atol=1e-9)
    assert intervals.roc_area(rest[copied], rest[~copied]) > 0.98


def test_calibrated_areas_are_those_of_what_complexity_leaves():
    """Copies are smoother; the norm grows with roughness, and is larger for copies of like roughness."""
    generator, copied = torch.Generator().manual_seed(0), torch.arange(40) < 20
    levels = torch.rand(60, generator=generator) * 0.6 + 0.3
    levels[:20] *= 0.7
    pictures = (torch.rand(60, 3, 16, 16, generator=generator) * 2 - 1) * levels[:, None, None, None]
    bits = torch.from_numpy(set_sizes.complexities(pictures))
    norm = 5 + 3 * bits.log()
    norm[:20] += 0.01
    rows = set_sizes.calibrated(
        {"score_norm": norm[:40]}, pictures[:40], copied, {"score_norm": norm[40:]}, pictures[40:]
    )
    of_norm, of_bits = rows
    assert (of_norm["statistic"], of_bits["key"]) == (measures.WORDS["score_norm"], "complexity")
    assert of_norm["AUC"].value < 0.5
    assert of_norm["calibrated"].value == 1
    assert of_bits["AUC"].value > 0.5
