"""Scores of functions and of models, their differences and norms."""

from types import SimpleNamespace

import pytest
import torch

from memlib.hessian import JacobianOperator
from memlib.mixture import GaussianMixture
from memlib.networks import MLP, DiffusionModel, MLPConfig, UNet, UNetConfig
from memlib.sampling import ddim
from memlib.schedule import VarianceExploding, VariancePreserving
from memlib.score import Denoiser, Score, ScoreDifference, preconditioned, score_at
from memlib.sharpness import score_norm

SCHEDULE = VariancePreserving.linear()
SMALL = UNetConfig(image_size=8, channels=(8, 16), blocks=1, classes=3)


@pytest.fixture(scope="module")
def unet():
    network = UNet(SMALL)
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():  # the last layers start at zero, which would hide every dependence
        parameter.data.normal_(0.0, 0.1, generator=generator)
    return DiffusionModel(network.double().requires_grad_(False), SCHEDULE)


class Exact:
    """The network of an isotropic Gaussian: its exact noise prediction at every time."""

    prediction, schedule = "epsilon", SCHEDULE

    def network(self, x, t, label):
        alpha, sigma = SCHEDULE.alpha(t), SCHEDULE.sigma(t)
        return sigma * x / (0.25 * alpha**2 + sigma**2)


@pytest.mark.parametrize("t", [0, 500, 999])
def test_score_of_an_exact_network_is_the_mixtures(t):
    alpha, sigma = SCHEDULE.alpha(t), SCHEDULE.sigma(t)
    mixture = GaussianMixture(torch.ones(1), torch.zeros(1, 3), torch.tensor([0.25])).diffused(alpha, sigma)
    x = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(t))
    score = score_at(Exact(), t)
    assert (score.alpha, score.sigma) == (alpha.item(), sigma.item())
    # A product and a quotient by sigma: a few roundings.
    assert torch.allclose(score(x), mixture.score(x), rtol=16 * torch.finfo(torch.float64).eps)
    assert torch.equal(score.epsilon(x), -sigma * score(x))


@pytest.mark.parametrize("t", [0, 500, 999])
def test_denoised_is_the_posterior_mean_of_a_gaussian(t):
    """E[x_0 | x] = m + v alpha (x - alpha m) / (alpha^2 v + sigma^2) for x_0 ~ N(m, v)."""
    alpha, sigma = SCHEDULE.alpha(t).item(), SCHEDULE.sigma(t).item()
    mean, variance = 1.5, 0.3
    blob = GaussianMixture(torch.ones(1), torch.full((1, 3), mean), torch.tensor([variance]))
    score = Score(blob.diffused(alpha, sigma).score, alpha=alpha, sigma=sigma)
    x = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(t))
    expected = mean + variance * alpha * (x - alpha * mean) / (alpha**2 * variance + sigma**2)
    # Division by alpha multiplies the roundings at the noisiest time.
    assert torch.allclose(score.denoised(x), expected, rtol=1e-12 / alpha)


def test_difference_is_a_score_at_the_same_level():
    s, u = (Score(lambda x, k=k: k * x, alpha=0.6, sigma=0.8, name=str(k)) for k in (3.0, 1.0))
    difference = s - u
    assert isinstance(difference, ScoreDifference)
    assert (difference.alpha, difference.sigma, difference.name) == (0.6, 0.8, "3.0 - 1.0")
    x = torch.tensor([[1.0, 2.0]])
    assert torch.equal(difference(x), 2 * x)
    assert torch.equal((difference - u)(x), x)


def test_norms_are_float64_and_leave_no_graph():
    x = torch.tensor([[3.0, 4.0], [0.0, 1.0]], requires_grad=True)
    norms = score_norm(Score(lambda z: -2 * z, alpha=1.0, sigma=1.0), x)
    assert norms.tolist() == [10.0, 2.0]
    assert norms.dtype == torch.float64
    assert not norms.requires_grad


def test_one_label_per_sample_is_the_label_of_its_row(unet):
    x = torch.randn(3, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    rows = score_at(unet, 300, torch.tensor([0, 2, 1]))(x)
    for row, label in enumerate([0, 2, 1]):
        alone = score_at(unet, 300, label)(x[row : row + 1])[0]
        # Another batch size may sum in another order: some hundred roundings of numbers of this size.
        assert torch.allclose(rows[row], alone, rtol=0, atol=1e-12 * alone.abs().max().item())


def test_labels_are_repeated_with_their_samples(unet):
    x = torch.randn(2, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    score = score_at(unet, 300, torch.tensor([0, 2]))
    repeated = score(x.repeat_interleave(3, 0)).reshape(2, 3, 1, 8, 8)
    assert torch.allclose(repeated, score(x)[:, None].expand_as(repeated), rtol=1e-11, atol=1e-13)
    assert not torch.allclose(repeated[0], score_at(unet, 300, 2)(x)[:1])  # labels matter at all


def test_no_label_is_the_class_after_the_last(unet):
    x = torch.ones(1, 1, 8, 8, dtype=torch.float64)
    assert torch.equal(score_at(unet, 0)(x), score_at(unet, 0, SMALL.classes)(x))
    assert "label" not in score_at(unet, 0).name
    assert score_at(unet, 7, 2).name == "model at t=7, label 2"


def test_bad_scores_are_refused(unet):
    for sigma in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="needs sigma > 0"):
            Score(lambda x: x, alpha=1.0, sigma=sigma)
    one, other = (Score(lambda x: x, alpha=0.6, sigma=s, name="s") for s in (0.8, 0.7))
    with pytest.raises(ValueError, match=r"one noise level.*take both at the same t"):
        one - other
    with pytest.raises(ValueError, match=r"t must lie in \[0, 999\]"):
        score_at(unet, 1000)
    with pytest.raises(
        ValueError, match=r"label must be an int or an integer tensor \(B,\), got torch.float32"
    ):
        score_at(unet, 0, torch.tensor([1.0]))
    with pytest.raises(ValueError, match="2 labels do not fit a batch of 3"):
        score_at(unet, 0, torch.tensor([0, 1]))(torch.zeros(3, 1, 8, 8).double())
    with pytest.raises(ValueError, match="x must be"):
        score_norm(one, [1.0])
    with pytest.raises(ValueError, match="has no classes"):
        score_at(DiffusionModel(MLP(MLPConfig()), SCHEDULE), 0, 1)(torch.zeros(1, 2))


@pytest.mark.parametrize("t", [0.1, 0.5, 0.99, 1.0])
def test_a_denoiser_is_the_score_that_its_mean_tells(t):
    """At t = 1, where alpha = 0, the mean stands for the score."""
    alpha, sigma = 1 - t, t
    mean, variance = 1.5, 0.3

    def denoised(x):
        return mean + variance * alpha * (x - alpha * mean) / (alpha**2 * variance + sigma**2)

    score = Denoiser(denoised, alpha=alpha, sigma=sigma)
    x = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    exact = -(x - alpha * mean) / (alpha**2 * variance + sigma**2)
    torch.testing.assert_close(score(x), exact if alpha else torch.full_like(x, mean), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(score.denoised(x), denoised(x), rtol=0, atol=0)
    x0, epsilon = score.parts(x)
    torch.testing.assert_close(epsilon, -sigma * exact, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(alpha * x0 + sigma * epsilon, x, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(score.epsilon(x), epsilon, rtol=0, atol=0)


def test_a_difference_of_denoisers_near_pure_noise_is_no_rounding():
    alpha, sigma = 3e-4, 1 - 3e-4
    x = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    ours, theirs = (Denoiser(lambda x, c=c: c + 0.1 * x, alpha=alpha, sigma=sigma) for c in (0.3, 0.2))
    exact = torch.full_like(x, alpha / sigma**2 * 0.1)
    torch.testing.assert_close((ours - theirs)(x), exact, rtol=1e-12, atol=0)
    torch.testing.assert_close((ours - theirs)(x.float()).double(), exact, rtol=1e-5, atol=0)
    rounded = ours(x.float()) - theirs(x.float())
    assert (rounded.double() / exact - 1).abs().max() > 1e-4


def edm(network, data=0.5):
    return SimpleNamespace(
        network=preconditioned(network, data), schedule=VarianceExploding(), prediction="sample"
    )


@pytest.mark.parametrize("sigma", [0.002, 0.5, 80.0])
def test_an_edm_network_of_a_gaussian(sigma):
    """The best F has the target (x_0 - c_skip x) / c_out, in the letters of Karras et al. 2022, table 1."""
    mean, variance, data = 1.5, 0.3, 0.7

    def best(scaled, noise, label):
        s = (4 * noise).exp()
        x = scaled * (s**2 + data**2).sqrt()
        denoised = (variance * x + s**2 * mean) / (variance + s**2)
        c_skip, c_out = data**2 / (s**2 + data**2), s * data / (s**2 + data**2).sqrt()
        return (denoised - c_skip * x) / c_out

    exact = GaussianMixture(torch.ones(1), torch.full((1, 3), mean), torch.tensor([variance]))
    diffused, score = exact.diffused(1.0, sigma), score_at(edm(best, data), sigma)
    x = mean + sigma * torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(score(x), diffused.score(x), rtol=1e-7, atol=1e-9)
    v = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with JacobianOperator(score, x, product="vjp") as op:
        torch.testing.assert_close(op.matvec(v), -v / (variance + sigma**2), rtol=1e-7, atol=1e-9)


def test_an_unconditional_u_net_under_diffusers_edm_scheduler():
    diffusers = pytest.importorskip("diffusers")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        unet = diffusers.UNet2DModel(
            sample_size=8,
            block_out_channels=(8, 16),
            layers_per_block=1,
            down_block_types=("DownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "UpBlock2D"),
            attention_head_dim=4,
            norm_num_groups=4,
            dropout=0.0,
        ).double()
    scheduler = diffusers.EDMEulerScheduler(sigma_data=0.5)
    scheduler.set_timesteps(6)
    noise = 80.0 * torch.randn(2, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    x = noise
    with torch.no_grad():
        for t in scheduler.timesteps:
            out = unet(scheduler.scale_model_input(x, t), t).sample
            x = scheduler.step(out, t, x).prev_sample
    model = edm(lambda x, noise, label: unet(x, noise).sample)
    found = ddim(lambda t: score_at(model, t), model.schedule, noise, steps=6)
    assert x.std() > 0.1
    torch.testing.assert_close(found.samples, x, rtol=0, atol=1e-4)
