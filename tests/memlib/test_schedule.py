"""Schedules: identities, the same numbers as diffusers, and every prediction against an exact Gaussian."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from memlib.schedule import (
    RectifiedFlow,
    VarianceExploding,
    VariancePreserving,
    denoised_from_prediction,
    score_from_prediction,
)

SCHEDULES = {
    "linear": VariancePreserving.linear,
    "scaled_linear": VariancePreserving.scaled_linear,
    "cosine": VariancePreserving.cosine,
}
EPS = torch.finfo(torch.float64).eps


@pytest.fixture(params=SCHEDULES)
def name(request):
    return request.param


@pytest.mark.parametrize("steps", [1, 2, 1000])
def test_variance_is_preserved_and_noise_grows(name, steps):
    schedule = SCHEDULES[name](steps)
    t = torch.arange(steps)
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    assert schedule.steps == steps
    assert alpha.dtype == sigma.dtype == torch.float64
    # Two square roots, two squares and a sum: a few roundings of numbers below 1.
    assert ((alpha**2 + sigma**2 - 1).abs() <= 4 * EPS).all()
    assert (sigma.diff() > 0).all()
    assert (alpha.diff() < 0).all()


def test_linear_starts_at_the_first_beta():
    assert VariancePreserving.linear().sigma(0).item() ** 2 == pytest.approx(1e-4, rel=1e-11)


def test_alpha_squared_is_the_cumulative_product():
    betas = torch.tensor([0.1, 0.2, 0.5], dtype=torch.float64)
    expected = torch.tensor([0.9, 0.9 * 0.8, 0.9 * 0.8 * 0.5], dtype=torch.float64)
    assert torch.allclose(VariancePreserving.from_betas(betas).alpha_squared, expected, rtol=4 * EPS, atol=0)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.int64])
def test_times_of_any_integer_dtype_and_shape(dtype):
    schedule = VariancePreserving.linear()
    t = torch.tensor([[0, 1], [1, 200]], dtype=dtype)
    assert torch.equal(schedule.sigma(t), schedule.sigma(t.long()))
    assert schedule.sigma(t).shape == (2, 2)
    assert schedule.alpha(200) == schedule.alpha(t)[1, 1]


def test_float32_levels_are_kept_in_float64():
    assert VariancePreserving(torch.tensor([0.5, 0.25])).alpha(1).dtype == torch.float64


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("linear", "linear"), ("scaled_linear", "scaled_linear"), ("cosine", "squaredcos_cap_v2")],
)
@pytest.mark.parametrize("steps", [10, 1000])
def test_same_levels_as_diffusers(ours, theirs, steps):
    diffusers = pytest.importorskip("diffusers")
    options = {"scaled_linear": {"beta_start": 8.5e-4, "beta_end": 1.2e-2}, "linear": {"beta_start": 1e-4}}
    scheduler = diffusers.DDIMScheduler(
        num_train_timesteps=steps, beta_schedule=theirs, **options.get(ours, {})
    )
    alpha_squared = SCHEDULES[ours](steps).alpha_squared
    # diffusers multiplies in float32: each of `steps` factors and products rounds. Where a factor 1 - beta is
    # small (0.001 at the cosine's end) the rounding of beta weighs 1 / (1 - beta) more.
    smallest = (alpha_squared[1:] / alpha_squared[:-1]).min().item()
    tolerance = torch.finfo(torch.float32).eps * (2 * steps + 1 / smallest)
    assert torch.allclose(alpha_squared, scheduler.alphas_cumprod.double(), rtol=tolerance, atol=0)


def test_leading_times_are_those_of_stable_diffusion():
    times = VariancePreserving.scaled_linear().timesteps(50, "leading")
    assert times == list(range(981, 0, -20))


@pytest.mark.parametrize("spacing", ["leading", "trailing"])
@pytest.mark.parametrize("count", [1, 7, 20, 50, 999])
def test_same_times_as_diffusers(spacing, count):
    diffusers = pytest.importorskip("diffusers")
    scheduler = diffusers.DDIMScheduler(steps_offset=1, timestep_spacing=spacing)
    scheduler.set_timesteps(count)
    assert VariancePreserving.linear().timesteps(count, spacing) == scheduler.timesteps.tolist()


@settings(max_examples=50, deadline=None)
@given(steps=st.integers(1, 300), data=st.data(), spacing=st.sampled_from(["leading", "trailing"]))
def test_times_fall_strictly_inside_the_schedule(steps, data, spacing):
    schedule = VariancePreserving.cosine(steps)
    count = data.draw(st.integers(1, steps))
    times = schedule.timesteps(count, spacing)
    assert len(times) == count
    assert all(later < earlier for earlier, later in itertools.pairwise(times))
    assert times[-1] >= 0
    assert times[0] <= steps - 1
    assert spacing == "leading" or times[0] == steps - 1


@pytest.mark.parametrize("t", [-1, 1000, torch.tensor([0, 1000]), torch.tensor([-3])])
def test_times_outside_are_refused(t):
    with pytest.raises(ValueError, match=r"t must lie in \[0, 999\] for a schedule of 1000 steps"):
        VariancePreserving.linear().alpha(t)


@pytest.mark.parametrize("t", [0.5, torch.tensor([1.0]), True, torch.tensor([True])])
def test_times_that_are_no_integers_are_refused(t):
    with pytest.raises(ValueError, match="integer time index"):
        VariancePreserving.linear().sigma(t)


@pytest.mark.parametrize(
    "levels", [[0.5, 0.5], [0.5, 0.6], [1.0, 0.5], [0.5, -0.1], [0.0, 0.0], [], [[0.5]], [float("nan")]]
)
def test_levels_that_do_not_fall_are_refused(levels):
    with pytest.raises(ValueError, match="strictly decreasing inside"):
        VariancePreserving(torch.tensor(levels, dtype=torch.float64))


def test_other_bad_schedules_are_refused(name):
    with pytest.raises(ValueError, match="at least one step"):
        SCHEDULES[name](0)
    with pytest.raises(ValueError, match=r"count must lie in \[1, 1000\], got 1001"):
        SCHEDULES[name]().timesteps(1001)
    with pytest.raises(ValueError, match="spacing must be one of"):
        SCHEDULES[name]().timesteps(10, "linspace")
    with pytest.raises(ValueError, match="strictly decreasing inside"):
        VariancePreserving.linear(last=1.5)


def exact_predictions(x, alpha, sigma, mean, variance):
    """What a perfect network predicts for x_0 ~ N(mean, variance I): conditional means of Gaussians."""
    total = alpha**2 * variance + sigma**2
    x0 = mean + alpha * variance / total * (x - alpha * mean)
    epsilon = sigma / total * (x - alpha * mean)
    predictions = {"epsilon": epsilon, "sample": x0, "v": alpha * epsilon - sigma * x0, "flow": epsilon - x0}
    return predictions, -(x - alpha * mean) / total


@pytest.mark.parametrize("kind", ["epsilon", "sample", "v", "flow"])
@settings(max_examples=25, deadline=None)
@given(angle=st.floats(0.05, 1.5), variance=st.floats(0.01, 4.0), seed=st.integers(0, 2**31))
def test_score_of_every_prediction_of_an_exact_gaussian(kind, angle, variance, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(3, 5, dtype=torch.float64, generator=generator)
    mean = torch.randn(5, dtype=torch.float64, generator=generator)
    angle = torch.tensor([angle], dtype=torch.float64)
    alpha, sigma = angle.cos(), angle.sin()
    predictions, score = exact_predictions(x, alpha, sigma, mean, variance)
    found = score_from_prediction(predictions[kind], x, alpha, sigma, kind)
    # Predictions of size up to |x| + |mean| are subtracted and divided by sigma^2.
    scale = (x.abs().max() + mean.abs().max() + 1).item() / sigma.item() ** 2
    assert (found - score).abs().max().item() <= 32 * EPS * scale


@pytest.mark.parametrize("kind", ["epsilon", "sample", "v", "flow"])
@pytest.mark.parametrize("angle", [0.3, 1.5, math.pi / 2])
def test_denoised_of_every_prediction_of_an_exact_gaussian(kind, angle):
    """Also at alpha = 0, where a noise prediction tells nothing."""
    x = torch.randn(3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    alpha = torch.tensor(0.0 if angle == math.pi / 2 else math.cos(angle), dtype=torch.float64)
    sigma = (1 - alpha**2).sqrt()
    predictions, _ = exact_predictions(x, alpha, sigma, torch.ones(5).double(), 0.5)
    found = denoised_from_prediction(predictions[kind], x, alpha, sigma, kind)
    if alpha == 0 and kind == "epsilon":
        assert not torch.isfinite(found).any()
    else:
        torch.testing.assert_close(found, predictions["sample"], rtol=1e-12, atol=1e-12)


def test_a_rectified_flow_is_the_straight_path():
    flow = RectifiedFlow()
    assert flow.timesteps(4) == [1.0, 0.75, 0.5, 0.25]
    t = torch.tensor([0.0, 0.3, 1.0])
    assert flow.alpha(t).dtype == torch.float64
    assert torch.equal(flow.alpha(t) + flow.sigma(t), torch.ones(3, dtype=torch.float64))
    assert (flow.alpha(1).item(), flow.noisiest, VariancePreserving.linear().noisiest) == (0.0, 1.0, 999)
    for wrong in (-0.1, 981, torch.tensor([0.5, 1.5])):
        with pytest.raises(ValueError, match=r"rectified flow lies in \[0, 1\]"):
            flow.sigma(wrong)
    with pytest.raises(ValueError, match="at least one step"):
        flow.timesteps(0)


def test_the_last_level_may_be_zero():
    assert VariancePreserving(torch.tensor([0.5, 0.0])).alpha(1).item() == 0


def test_flow_needs_no_preserved_variance():
    x, t = torch.randn(4, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)), 0.3
    predictions, score = exact_predictions(x, 1 - t, t, torch.ones(2).double(), 0.5)
    found = score_from_prediction(predictions["flow"], x, torch.tensor(1 - t), torch.tensor(t), "flow")
    assert torch.allclose(found, score, rtol=1e-6)  # t passes through float32


def test_bad_predictions_are_refused():
    x, one = torch.zeros(2, 3), torch.tensor(1.0)
    with pytest.raises(ValueError, match=r"shape of x, \(2, 3\), got \(2, 4\)"):
        score_from_prediction(torch.zeros(2, 4), x, one, one, "epsilon")
    with pytest.raises(ValueError, match=r"must be one of .*'epsilon', 'v', 'sample', 'flow'.*got 'noise'"):
        score_from_prediction(x, x, one, one, "noise")


def test_exploding_noise_is_added_to_the_data():
    schedule = VarianceExploding()
    t = torch.tensor([[0.002, 3.0], [80.0, 1000.0]])
    assert torch.equal(schedule.sigma(t), t.double())
    assert torch.equal(schedule.alpha(t), torch.ones(2, 2, dtype=torch.float64))
    assert schedule.noisiest == 80.0
    for bad in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="noise scale here, positive and finite"):
            schedule.sigma(bad)
    with pytest.raises(ValueError, match="at least one step"):
        schedule.timesteps(0)


@pytest.mark.parametrize("name", ["EDMEulerScheduler", "EDMDPMSolverMultistepScheduler"])
@pytest.mark.parametrize("count", [2, 18, 50])
def test_same_noise_scales_as_diffusers_has_for_edm(name, count):
    theirs = getattr(pytest.importorskip("diffusers"), name)(sigma_min=0.01, sigma_max=60.0, rho=5.0)
    theirs.set_timesteps(count)
    ours = VarianceExploding(0.01, 60.0, 5.0).timesteps(count)
    torch.testing.assert_close(torch.tensor(ours), theirs.sigmas[:count], rtol=1e-5, atol=0)
