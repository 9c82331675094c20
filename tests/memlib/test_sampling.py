"""DDIM and guidance against what they do exactly to Gaussians."""

import math

import pytest
import torch

from memlib.mixture import GaussianMixture
from memlib.networks import MLP, DiffusionModel, MLPConfig
from memlib.sampling import ancestral, ddim, exact_score, guided, model_score
from memlib.schedule import RectifiedFlow, VariancePreserving
from memlib.score import Denoiser, Score

SCHEDULE = VariancePreserving.linear()


def exact(mixture):
    return exact_score(mixture, SCHEDULE)


def gaussian(mean, variance):
    return GaussianMixture(torch.ones(1), torch.full((1, 2), mean), torch.tensor([variance]))


def noise(count=4, seed=0):
    return torch.randn(count, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("t", [0, 500, 999])
def test_exact_scores_of_a_gaussian_at_each_time(t):
    """N(m, v) diffuses to N(alpha m, alpha^2 v + sigma^2)."""
    found, x = exact(gaussian(1.5, 0.25))(t), noise()
    alpha_squared = SCHEDULE.alpha_squared[t].item()
    variance = 0.25 * alpha_squared + 1 - alpha_squared
    assert torch.allclose(found(x), (math.sqrt(alpha_squared) * 1.5 - x) / variance, rtol=1e-12)
    assert (found.alpha, found.sigma) == pytest.approx((alpha_squared**0.5, (1 - alpha_squared) ** 0.5))


def test_many_steps_carry_noise_as_the_flow_of_a_gaussian_does():
    """The probability flow keeps (x - alpha mean) / deviation from the last time to time 0, exactly."""
    mean, variance = 1.5, 0.3
    start = noise()
    alpha, sigma = SCHEDULE.alpha(999).item(), SCHEDULE.sigma(999).item()
    expected = mean + math.sqrt(variance) * (start - alpha * mean) / math.sqrt(alpha**2 * variance + sigma**2)
    errors = [
        (ddim(exact(gaussian(mean, variance)), SCHEDULE, start, steps=steps).samples - expected)
        .abs()
        .max()
        .item()
        for steps in (50, 200, 800)
    ]
    # A first-order method: four times the steps, about a quarter of the error.
    assert errors[0] > 3 * errors[1] > 9 * errors[2]
    assert errors[2] < 0.005


def test_point_masses_are_reached_in_one_step():
    point = gaussian(0.7, 1e-12)
    reached = ddim(exact(point), SCHEDULE, noise(), steps=1).samples
    # sigma / alpha is 157 at the last time, by which the point's width and the roundings are multiplied.
    assert torch.allclose(reached, torch.full_like(reached, 0.7), atol=1e-5)


def test_kept_states_are_those_the_steps_start_from():
    start = noise()
    score = exact(gaussian(0.0, 1.0))
    trajectory = ddim(score, SCHEDULE, start, steps=5, keep=(0, 2, -1))
    times = SCHEDULE.timesteps(5)
    assert set(trajectory.states) == {times[0], times[2], times[4]}
    assert torch.equal(trajectory.states[times[0]], start)
    last = trajectory.states[times[4]]
    at = score(times[4])
    assert torch.equal(trajectory.samples, (last - at.sigma * at.epsilon(last)) / at.alpha)
    assert set(ddim(score, SCHEDULE, start, steps=5).states) == set()


def test_noise_is_left_as_it_was_and_no_graph_is_kept():
    start = noise().requires_grad_()
    before = start.detach().clone()
    samples = ddim(exact(gaussian(1.0, 0.5)), SCHEDULE, start, steps=3).samples
    assert torch.equal(start, before)
    assert not samples.requires_grad


def test_guidance_extrapolates_and_calls_each_score_once():
    calls = []

    def constant(value):
        def fn(x):
            calls.append(value)
            return torch.full_like(x, value)

        return Score(fn, alpha=0.6, sigma=0.8, name=f"s{value:g}")

    score = guided(constant(3.0), constant(1.0), 7.5)
    assert score(torch.zeros(1, 2)).tolist() == [[1 + 7.5 * 2] * 2]
    assert sorted(calls) == [1.0, 3.0]
    assert (score.alpha, score.sigma, score.name) == (0.6, 0.8, "s3, guidance 7.5")


def test_guidance_takes_both_scores_at_one_level():
    with pytest.raises(ValueError, match="one noise level"):
        guided(*(Score(lambda x: x, alpha=1.0, sigma=s) for s in (0.5, 0.6)), 2.0)


def test_score_of_a_model_without_guidance_is_the_conditional_one():
    class Labelled(torch.nn.Module):
        def forward(self, x, t, label):
            return x * (0.0 if label is None else label)

    model = DiffusionModel(Labelled(), SCHEDULE)
    x, sigma = torch.ones(1, 2), SCHEDULE.sigma(5).item()
    for label, guidance, factor in ((2, 1.0, 2), (2, 3.0, 6), (None, 3.0, 0), (None, 1.0, 0)):
        assert torch.allclose(model_score(model, label, guidance)(5)(x), -factor * x / sigma)


def test_bad_arguments_are_refused():
    score, start = exact(gaussian(0.0, 1.0)), noise()
    with pytest.raises(ValueError, match=r"count must lie in \[1, 1000\], got 0"):
        ddim(score, SCHEDULE, start, steps=0)
    with pytest.raises(ValueError, match=r"positions in \[-5, 4\] for 5 steps, got \(5,\)"):
        ddim(score, SCHEDULE, start, steps=5, keep=(5,))
    with pytest.raises(ValueError, match=r"noise has NaN"):
        ddim(score, SCHEDULE, start * float("nan"))
    with pytest.raises(ValueError, match=r"shape \(B, 2\)"):
        ddim(model_score(DiffusionModel(MLP(MLPConfig()), SCHEDULE)), SCHEDULE, torch.zeros(4, 3))


def source(seed=1):
    return torch.Generator().manual_seed(seed)


def test_ancestral_steps_end_in_draws_from_the_data():
    """Mean and variance of 8,000 numbers within five standard errors, and the error of 200 steps."""
    start = noise(4000)
    found = ancestral(exact(gaussian(1.5, 0.3)), SCHEDULE, start, source(), steps=200).samples
    assert abs(found.mean().item() - 1.5) < 5 * math.sqrt(0.3 / 8000)
    assert abs(found.var().item() - 0.3) < 5 * 0.3 * math.sqrt(2 / 8000) + 0.01
    # Where it started is forgotten; deterministic steps keep it.
    both = torch.corrcoef(torch.stack([start.flatten(), found.flatten()]))
    assert abs(both[0, 1].item()) < 5 / math.sqrt(8000)


def test_ancestral_steps_have_the_noise_of_each_time():
    """The states of a point mass are its diffused draws exactly, in however few steps."""
    path = ancestral(exact(gaussian(0.7, 1e-12)), SCHEDULE, noise(4000), source(), steps=6, keep=range(6))
    assert list(path.states) == SCHEDULE.timesteps(6)
    for t, state in path.states.items():
        alpha, sigma = SCHEDULE.alpha(t).item(), SCHEDULE.sigma(t).item()
        assert abs(state.mean().item() - 0.7 * alpha) < 5 * sigma / math.sqrt(8000)
        assert abs(state.var().item() / sigma**2 - 1) < 5 * math.sqrt(2 / 8000)


def test_ancestral_steps_are_those_of_their_generator_and_stay_in_bounds():
    def run(seed=1, **options):
        return ancestral(
            exact(gaussian(0.0, 1.0)), SCHEDULE, noise(50), source(seed), steps=5, **options
        ).samples

    assert torch.equal(run(), run())
    assert not torch.equal(run(), run(seed=2))
    assert run().abs().max() > 0.5
    assert run(bounds=(-0.5, 0.25)).aminmax() == (-0.5, 0.25)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep": [5]}, r"keep must hold positions in \[-5, 4\] for 5 steps, got \[5\]"),
        ({"bounds": (1.0, -1.0)}, r"bounds must be \(lowest, highest\) value of the data, got \(1.0, -1.0\)"),
        ({"steps": 1001}, "count must lie in"),
    ],
)
def test_bad_arguments_of_ancestral_steps_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ancestral(exact(gaussian(0.0, 1.0)), SCHEDULE, noise(), source(), **{"steps": 5} | options)


def test_other_times_and_another_end():
    start, score = noise(), exact(gaussian(1.0, 0.5))
    path = ddim(score, SCHEDULE, start, times=[900, 400, 7], keep=range(3))
    assert list(path.states) == [900, 400, 7]
    end = (SCHEDULE.alpha(7).item(), SCHEDULE.sigma(7).item())
    part = ddim(score, SCHEDULE, start, times=[900, 400], end=end)
    assert torch.equal(part.samples, path.states[7])


@pytest.mark.parametrize("times", [[], [5, 5], [1, 900]])
def test_times_that_do_not_decrease(times):
    with pytest.raises(ValueError, match=rf"strictly decreasing, got \{times}"):
        ddim(exact(gaussian(0.0, 1.0)), SCHEDULE, noise(), times=times)


def test_a_rectified_flow_carries_noise_from_alpha_zero_to_a_gaussian():
    """The flow of N(m, v) keeps (x - alpha m) / deviation; its first step has no score to go by."""
    mean, variance, start = 1.5, 0.3, noise()
    flow = RectifiedFlow()

    def at(t):
        alpha, sigma = 1 - t, t
        shrink = variance * alpha / (alpha**2 * variance + sigma**2)
        return Denoiser(lambda x: mean + shrink * (x - alpha * mean), alpha=alpha, sigma=sigma)

    expected = mean + math.sqrt(variance) * start
    errors = [(ddim(at, flow, start, steps=n).samples - expected).abs().max().item() for n in (50, 200, 800)]
    assert errors[0] > 3 * errors[1] > 9 * errors[2]
    assert errors[2] < 0.005
    x0, v = torch.full_like(start, mean), start - mean  # Euler's first step along v = eps - x_0
    one = ddim(at, flow, start, times=[1.0], end=(0.25, 0.75)).samples
    torch.testing.assert_close(one, start - 0.25 * v, rtol=1e-12, atol=1e-12)
    assert not torch.equal(one, x0)
