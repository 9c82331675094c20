"""What is followed is what the score at each time says, and is computed only where it is not known."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from companion import over_time
from memlib.mixture import GaussianMixture
from memlib.sampling import exact_score
from memlib.schedule import VariancePreserving
from memlib.score import Score

TIMES = (30, 600, 999)


@pytest.fixture
def followed() -> dict[str, np.ndarray]:
    """Two samples near a point and two in a broad mode, 2 x 2 pixels; of one time the spectra are known."""
    schedule = VariancePreserving.linear()
    narrow, broad = (
        GaussianMixture(torch.ones(1), torch.full((1, 4), mean), torch.tensor([width]))
        for mean, width in ((0.5, 1e-8), (-0.5, 4.0))
    )
    scores = {}
    for name, mixture in (("general", broad), ("memorized", narrow)):
        at = exact_score(mixture, schedule)
        scores[name] = {t: images_of(at(t)) for t in TIMES}
    states = {name: {t: torch.zeros(2, 1, 2, 2).double() for t in TIMES} for name in scores}
    known = {"memorized": {999: torch.full((3, 4), -7.0).double()}, "general": {}}
    return over_time.follow(scores, states, known)


def images_of(score: Score) -> Score:
    """A score of vectors as one of images."""
    return Score(lambda x: score(x.flatten(1)).reshape(x.shape), alpha=score.alpha, sigma=score.sigma)


def test_spectra_are_those_of_the_density_at_each_time(followed: dict[str, np.ndarray]) -> None:
    assert followed["t"].tolist() == [999, 600, 30]
    schedule = VariancePreserving.linear()
    for place, t in enumerate(followed["t"]):
        alpha, sigma = schedule.alpha(int(t)).item(), schedule.sigma(int(t)).item()
        assert followed["sigma"][place] == pytest.approx(sigma)
        curvature = -(sigma**2) / (4 * alpha**2 + sigma**2)
        np.testing.assert_allclose(
            followed["general_eigenvalues"][place], np.full((2, 4), curvature), rtol=1e-6
        )
        expected = -7 * sigma**2 if t == 999 else -1
        np.testing.assert_allclose(
            followed["memorized_eigenvalues"][place], np.full((2, 4), expected), rtol=1e-5
        )
        assert followed["general_count"][place].tolist() == [0, 0]


def test_pictures_are_the_state_and_the_mean_of_what_it_came_from(followed: dict[str, np.ndarray]) -> None:
    grey = followed["memorized_noised"]
    assert (grey.shape, grey.dtype) == ((3, 2, 1, 2, 2), np.uint8)
    assert np.unique(grey).tolist() == [128]  # a state of zeros
    assert np.unique(followed["memorized_denoised"]).tolist() == [191]  # 0.5, where the peak is
    assert np.unique(followed["general_denoised"][0]).tolist() == [64]  # -0.5, the mean of the broad mode


def test_what_is_decoded_is_shown_between_black_and_white() -> None:
    score = {t: Score(lambda x: -x, alpha=0.6, sigma=0.8) for t in (10, 20)}
    states = {t: torch.full((1, 1, 1, 1), 9.0).double() for t in score}
    found = over_time.follow(
        {"general": score}, {"general": states}, {"general": {}}, decode=lambda x: x.clamp(0, 0.2)
    )
    assert found["general_noised"].flatten().tolist() == [51, 51]  # 0.2 of 255
    assert found["general_eigenvalues"].flatten().tolist() == pytest.approx([-0.64, -0.64])


def test_the_picture_for_print_has_a_panel_for_each_time(followed: dict[str, np.ndarray]) -> None:
    figure = over_time.panels(followed)
    titles = [ax.get_title() for ax in figure.axes if ax.get_visible()]
    assert [title.partition("$,")[0] for title in titles] == ["$t=999", "$t=600", "$t=30"]
    assert all("0 memorized, 0 general" in title for title in titles)
    assert all(len(ax.lines) == 1 + 2 * 2 for ax in figure.axes)
    plt.close(figure)
