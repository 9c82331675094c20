"""Copies and statistics against the number of copies: on tables and networks whose answers are known."""

from __future__ import annotations

import math

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from companion import doses
from companion.recipes.dose import DOSES
from memlib.intervals import Interval
from memlib.networks import DiffusionModel
from memlib.sampling import Trajectory
from memlib.schedule import VariancePreserving

SCHEDULE, SIDE, T = VariancePreserving.linear(1000), 4, 300


class Linear(nn.Module):
    """Predicts the noise of the score -(1 + label) x; without a label -x."""

    def forward(self, x, t, label=None):
        factor = torch.ones(len(x)) if label is None else 1.0 + torch.as_tensor(label).expand(len(x))
        sigma = SCHEDULE.sigma(torch.as_tensor(t)).reshape(-1, 1, 1, 1).to(x)
        return sigma * factor[:, None, None, None].to(x) * x


@pytest.fixture
def model():
    return DiffusionModel(Linear(), SCHEDULE)


@pytest.fixture
def images():
    source = torch.Generator().manual_seed(0)
    real = torch.randn(len(DOSES), 6, 1, SIDE, SIDE, generator=source)
    return real, torch.randn(len(DOSES), 1, SIDE, SIDE, generator=source)


def generator():
    return torch.Generator().manual_seed(1)


def test_a_sample_counts_as_a_copy_of_the_copied_image_of_its_own_class(images):
    real, copied = images
    drawn = torch.stack([copied, real[:, 0], copied.roll(1, 0)], dim=1).flatten(0, 1)
    held_out = torch.randn(40, 1, SIDE, SIDE, generator=generator())
    found = doses.judged_samples(real, copied, [(1.0, drawn), (5.0, drawn)], held_out)
    assert found["copy"].tolist() == [True, False, False] * len(DOSES) * 2
    assert found["other"].tolist() == [False, True, False] * len(DOSES) * 2
    assert found["guidance"].tolist() == [1.0] * 24 + [5.0] * 24
    assert found["dose"].tolist() == list(np.repeat(DOSES, 3)) * 2
    assert found["threshold"].nunique() == 1


def test_rates_are_student_s_over_networks_and_wilson_s_where_they_agree():
    rows = [
        {
            "guidance": 1.0,
            "dose": dose,
            "network": network,
            "copy": dose == 1000 or (dose == 100 and place < network),
        }
        for dose in DOSES
        for network in (0, 1, 2)
        for place in range(4)
    ]
    found = {row["dose"]: row for row in doses.rates(pd.DataFrame(rows), 1.0, "copy", of_excess=(100, 1000))}
    assert found[100]["rate"].value == pytest.approx(0.25)
    assert found[100]["rate"].n == 3
    assert found[1000]["rate"].n == 12
    assert found[1000]["rate"].low < 1 == found[1000]["rate"].high
    assert found[100]["perfect"] == 100 / 800
    assert found[100]["excess"].value == pytest.approx(0.25 - 0.125)
    assert found[300]["excess"] is None


def test_statistics_at_images_are_those_of_the_linear_score(model, images):
    real, copied = images
    found = doses.at_images(model, real, copied, [T], repeats=3, others=2, probes=2, source=generator())
    assert found.groupby("statistic").size().to_dict() == dict.fromkeys(
        ("sharpness", "difference", "gain", "flipd"), 0
    ) | {"sharpness": 40, "difference": 40, "gain": 40, "flipd": 8 * 3}
    assert found.loc[found["statistic"] == "gain", "copied"].tolist() == [True, True, True, False, False] * 8
    assert found.loc[found["statistic"] == "flipd", "copied"].tolist() == [True, False, False] * 8
    sigma = SCHEDULE.sigma(T).item()
    sharpness = found[found["statistic"] == "sharpness"].groupby("dose")["value"].mean().to_numpy()
    assert sharpness == pytest.approx(sigma**2 * (1 + np.arange(8)), rel=1e-4)
    # s_Delta = -k x, with the Jacobian -k I: the paper's statistic is k sigma^2 times that norm.
    gain, difference = (
        found.loc[found["statistic"] == name, "value"].to_numpy() for name in ("gain", "difference")
    )
    assert gain == pytest.approx(np.repeat(np.arange(8), 5) * sigma**2 * difference, rel=1e-3, abs=1e-6)


def test_whole_spectra_at_the_copied_image_and_at_others(model, images):
    found = doses.spectra_at_images(model, *images, T, repeats=2, source=generator())
    assert found["copied"].tolist() == [True, True, False, False] * 8
    assert found["dose"].tolist() == np.repeat(DOSES, 4).tolist()
    assert (found["count"] == 0).all()
    assert found["asymmetry"].abs().max() < 1e-6


def test_responses_grow_where_the_copied_image_stands_out():
    keys = pd.MultiIndex.from_product(
        [["norm"], [20, 100], DOSES, [0, 1]], names=["statistic", "t", "dose", "network"]
    )
    areas = pd.Series(np.linspace(0, 1, len(keys)), index=keys)
    whole = pd.DataFrame(
        {"dose": dose, "network": network, "copied": copied, "count": 10 - k * copied, "dimension": 5.0}
        for k, dose in enumerate(DOSES)
        for network in (0, 1)
        for copied in (True, False)
    )
    found = doses.responses(areas, ["norm"], whole, 20)
    assert list(found) == [("norm", 20), ("norm", 100), ("count", 20), ("dimension", 20)]
    series, null = found["count", 20]
    assert [values.tolist() for values in series] == [[k, k] for k in range(8)]
    assert null == 0
    assert found["norm", 100][0][2].tolist() == areas["norm", 100, DOSES[2]].tolist()


def test_the_smallest_sure_dose_counts_down_from_the_largest():
    sure, not_sure = Interval(0.9, 0.8, 1.0, 0.95, 4), Interval(0.7, 0.4, 1.0, 0.95, 4)
    assert doses.smallest_sure([sure, not_sure, sure, sure], 0.5, [1, 3, 10, 30]) == 10
    assert math.isinf(doses.smallest_sure([sure, sure, sure, not_sure], 0.5, [1, 3, 10, 30]))


def test_paths_are_followed_where_some_samples_become_copies(model):
    x = torch.randn(8 * 3, 1, SIDE, SIDE, generator=generator())
    is_copy = {100: np.array([True, False, True]), 300: np.array([True] * 3)}
    found = doses.on_paths(model, Trajectory(x, {T: x}), is_copy, 2, generator())
    assert {part["dose"].iloc[0] for part in found} == {100}
    table = pd.concat(found).set_index("statistic").loc["difference"]
    k = DOSES.index(100)
    expected = SCHEDULE.sigma(T).item() * k * x[k * 3 : k * 3 + 3].flatten(1).norm(dim=1)
    assert table["value"].to_numpy() == pytest.approx(expected.numpy(), rel=1e-5)
    assert table["copied"].tolist() == [True, False, True]


def test_lengths_of_noised_images_vary_as_their_noise_does(model, images):
    real, _ = images
    t = SCHEDULE.timesteps(10)[5]
    drawn = {t: torch.ones(32, 1, SIDE, SIDE)}
    found = doses.length_spreads(model, 0 * real, drawn, t, 10, generator())
    noise = torch.randn(32, 1, SIDE, SIDE, generator=generator()).flatten(1).norm(dim=1)
    assert found["training"] == pytest.approx(SCHEDULE.sigma(t).item() * noise.std().item(), rel=1e-5)
    assert found["ancestral"] == 0
    assert found["ddim"] > 0


def test_figures_have_a_panel_for_each_statistic_and_a_line_for_each_time():
    columns = ["statistic", "t", "copied", "dose", "network"]
    keys = pd.MultiIndex.from_product(
        [["norm", "trace"], [20, 100], [True, False], DOSES, [0, 1]], names=columns
    )
    means = pd.Series(np.linspace(1, 2, len(keys)), index=keys).sort_index()
    figure = doses.figures.values(means, {"norm": "the norm", "trace": "the trace"}, geometric=["norm"])
    assert len(figure.axes) == 4
    assert [ax.get_yscale() for ax in figure.axes] == ["log", "log", "linear", "linear"]
    assert [ax.get_title(loc="left") or ax.get_title() for ax in figure.axes[:2]] == ["$t=20$", "$t=100$"]
    assert [ax.get_xlabel() for ax in figure.axes] == ["", "", "copies $k$", "copies $k$"]
    one = [Interval(0.5, 0.25, 0.75, 0.95, 4)] * len(DOSES)
    figure = doses.figures.areas(
        {("norm", 20): one, ("norm", 100): one, ("count", 20): one}, {"norm": "the norm"}
    )
    assert figure.axes[0].get_legend_handles_labels()[1] == ["$t=20$", "$t=100$"]
    table = pd.DataFrame(
        {"dose": dose, "network": network, "copied": copied, "count": float(dose)}
        for dose in DOSES
        for network in (0, 1)
        for copied in (True, False)
    )
    (ax,) = doses.figures.whole(table, {"count": "the count"}).axes
    assert ax.get_legend_handles_labels()[1] == ["copied image", "other images"]
    assert ax.containers[0].lines[0].get_ydata().tolist() == [float(dose) for dose in DOSES]
    plt.close("all")
