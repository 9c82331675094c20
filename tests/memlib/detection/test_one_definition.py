"""The norms of s_Delta and H_Delta s_Delta are defined once: a wrong definition shows in every user."""

import pytest
import torch

from companion.comparison import SailPrinted, SailReleased
from companion.measures import conditional_estimates
from companion.products import by_product
from memlib import detection, mitigation, sharpness
from memlib.mitigation import NoiseAdjustment, Sail
from memlib.mitigation.objectives import RowDifference
from memlib.score import Score
from memlib.screening import detection_task
from memlib.sharpness import norms
from memlib.text_to_image import FirstStep, generate, one_step

CAPTIONS = ["a cat", "tac a"]
WRONG = {"sign": lambda value: -value, "square": lambda value: value**2, "sigma": lambda value: 0.3 * value}


@pytest.fixture
def noise(exact):
    return exact.noise(2, torch.Generator().manual_seed(0))


def difference_of_gaussians():
    slopes = torch.tensor([1.0, 2.0, 5.0]).double()
    ours, free = (Score(lambda x, a=a: -x / a, alpha=1.0, sigma=0.5) for a in (slopes, slopes + 1))
    return ours, free, torch.tensor([[1.0, -2.0, 3.0]]).double()


def objective(method, model, noise):
    rows = torch.arange(2)
    difference = RowDifference(model, 981, model.encode(CAPTIONS[:1]).repeated(2))
    if isinstance(method, SailReleased):
        return method.objective(difference, noise, noise, rows)
    return method.objective(difference, noise, rows)


def generation(model, noise):
    return generate(model, model.encode(CAPTIONS), noise, steps=10, first_steps=1)


def adjusted(model, noise):
    """What Han et al. minimise."""
    return mitigation.objective(model, NoiseAdjustment(1.0), model.encode(CAPTIONS), noise, steps=10)


PRODUCT = {  # users of ||H_Delta s_Delta||
    "sharpness": lambda model, noise: sharpness.curvature_gain(
        difference_of_gaussians()[0] - difference_of_gaussians()[1], difference_of_gaussians()[2]
    ),
    "estimates": lambda model, noise: (
        conditional_estimates(*difference_of_gaussians(), probes=2).curvature_gain
    ),
    "one step": lambda model, noise: one_step(model, model.encode(CAPTIONS), noise).curvature,
    "first step": lambda model, noise: FirstStep(model, 981, model.encode(CAPTIONS), noise).curvature_gain(
        "vjp"
    ),
    "detection": lambda model, noise: detection.SharpnessGain("vjp")(generation(model, noise)),
    "by product": lambda model, noise: by_product(model, model.encode(CAPTIONS), noise, "vjp").norms,
    "screening": lambda model, noise: detection_task(model, [1, 2], ["jeon"])(model.encode(CAPTIONS)).values[
        "jeon"
    ],
    "mitigation": lambda model, noise: objective(Sail(threshold=1.0), model, noise),
    "as printed": lambda model, noise: objective(SailPrinted(threshold=1.0, alpha=0.0), model, noise),
}
SCORE = {  # users of ||s_Delta||
    "sharpness": lambda model, noise: sharpness.difference_norm(
        difference_of_gaussians()[0] - difference_of_gaussians()[1], difference_of_gaussians()[2]
    ),
    "estimates": lambda model, noise: (
        conditional_estimates(*difference_of_gaussians(), probes=2).difference_norm
    ),
    "one step": lambda model, noise: one_step(model, model.encode(CAPTIONS), noise).difference,
    "detection": lambda model, noise: detection.ScoreDifferenceNorm()(generation(model, noise)),
    "screening": lambda model, noise: detection_task(model, [1, 2], ["wen"])(model.encode(CAPTIONS)).values[
        "wen"
    ],
    "mitigation": adjusted,
    "as released": lambda model, noise: objective(SailReleased(threshold=1.0, alpha=0.0), model, noise),
}


def changed(monkeypatch, definition, wrong, value):
    """Values with the definition and with it replaced."""
    right = value().detach()
    plain = getattr(norms, definition)
    monkeypatch.setattr(norms, definition, lambda *args: wrong(plain(*args)))
    return right, value().detach()


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("user", PRODUCT)
def test_every_user_of_the_curvature_gain(exact, noise, monkeypatch, user, wrong):
    right, found = changed(monkeypatch, "of_product", WRONG[wrong], lambda: PRODUCT[user](exact, noise))
    if wrong == "sign" and user in ("detection", "screening", "as printed"):  # a square has no sign
        assert torch.equal(found, right)
    else:
        assert not torch.isclose(found, right, rtol=1e-2, atol=0).any()


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("user", SCORE)
def test_every_user_of_the_norm_of_the_difference(exact, noise, monkeypatch, user, wrong):
    right, found = changed(monkeypatch, "of_score", WRONG[wrong], lambda: SCORE[user](exact, noise))
    assert not torch.allclose(found, right, rtol=1e-2)
    if wrong == "sign":
        torch.testing.assert_close(found, -right, rtol=1e-6, atol=0)
