"""Losses against explicit dense Jacobians."""

import pytest
import torch

from companion.fitting import score_matching_errors, score_matching_loss
from memlib.networks import MLP, MLPConfig, UNet, UNetConfig
from memlib.schedule import VariancePreserving, score_from_prediction

SCHEDULE = VariancePreserving.cosine(20)
EPS = torch.finfo(torch.float64).eps


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def randomized(network):
    source = generator(5)
    for parameter in network.parameters():
        parameter.data.normal_(0.0, 0.3, generator=source)
    return network.double()


@pytest.fixture(scope="module")
def mlp():
    return randomized(MLP(MLPConfig(dim=3, width=8, blocks=1)))


def data(count=4, d=3):
    return torch.randn(count, d, dtype=torch.float64, generator=generator(9))


def dense_loss(network, x0, seed, second_order, prediction):
    """The definition, sample by sample, with the whole Jacobian; draws in the order of the code."""
    source = generator(seed)
    times = torch.randint(SCHEDULE.steps, (len(x0),), generator=source)
    noise = torch.randn(x0.shape, generator=source, dtype=x0.dtype)
    d, total = x0[0].numel(), 0.0
    for clean, t, eps in zip(x0, times, noise, strict=True):
        alpha, sigma = SCHEDULE.alpha(t), SCHEDULE.sigma(t)

        def score(z, t=t, alpha=alpha, sigma=sigma):
            return score_from_prediction(network(z[None], t[None])[0], z, alpha, sigma, prediction)

        x = alpha * clean + sigma * eps
        l1 = sigma * score(x) + eps
        H = torch.autograd.functional.jacobian(score, x)
        M = sigma**2 * H + torch.eye(d).double() - torch.outer(l1, l1)
        total += (l1.square().sum() + second_order * M.square().sum()) / d
    return total / len(x0)


@pytest.mark.parametrize("prediction", ["epsilon", "v", "sample", "flow"])
@pytest.mark.parametrize("second_order", [0.0, 0.5])
def test_all_directions_give_the_definition(mlp, prediction, second_order):
    x0 = data()
    found = score_matching_loss(
        mlp, SCHEDULE, x0, None, generator(1), prediction=prediction, second_order=second_order, projections=0
    )
    expected = dense_loss(mlp, x0, 1, second_order, prediction)
    assert found.item() == pytest.approx(expected.item(), rel=1e4 * EPS)


def test_gradient_is_that_of_the_definition(mlp):
    """l_1 is differentiated in both terms: a detached one would show here."""
    x0, parameters = data(2), list(mlp.parameters())
    found = torch.autograd.grad(
        score_matching_loss(mlp, SCHEDULE, x0, None, generator(1), second_order=0.5, projections=0),
        parameters,
    )

    def definition():
        source = generator(1)
        times = torch.randint(SCHEDULE.steps, (2,), generator=source)
        noise = torch.randn(x0.shape, generator=source, dtype=x0.dtype)
        total = 0.0
        for clean, t, eps in zip(x0, times, noise, strict=True):
            alpha, sigma = SCHEDULE.alpha(t), SCHEDULE.sigma(t)
            x = alpha * clean + sigma * eps

            def scaled(z, t=t):
                return -mlp(z[None], t[None])[0]

            l1 = scaled(x) + eps
            J = torch.autograd.functional.jacobian(scaled, x, create_graph=True)
            M = sigma * J + torch.eye(3).double() - torch.outer(l1, l1)
            total = total + (l1.square().sum() + 0.5 * M.square().sum()) / 6
        return total

    expected = torch.autograd.grad(definition(), parameters)
    for a, b in zip(found, expected, strict=True):
        assert (a - b).abs().max() <= 1e4 * EPS * max(1.0, b.abs().max().item())


@pytest.mark.parametrize("projections", [1, 3])
def test_random_directions_are_unbiased(mlp, projections):
    """Times and noises are drawn first, so that two losses of one seed differ in their directions alone."""
    x0 = data(1).expand(1000, -1)

    class Fixed:
        steps = 1
        alpha = staticmethod(lambda t: SCHEDULE.alpha(torch.full_like(t, 6)))
        sigma = staticmethod(lambda t: SCHEDULE.sigma(torch.full_like(t, 6)))

    def network(z, t, label):
        return mlp(z, 6)

    losses = [
        torch.stack([
            score_matching_loss(network, Fixed, x0, None, generator(seed), second_order=1.0, projections=p)
            for seed in range(8)
        ])
        for p in (projections, 0)
    ]  # fmt: skip
    difference = (losses[0] - losses[1]).detach()  # the same noises: what is left comes from the directions
    error = difference.std() / 8**0.5
    assert difference.mean().abs() < 5 * error
    assert error < 0.05 * losses[1].mean()


def test_images_and_labels():
    network = randomized(UNet(UNetConfig(image_size=4, patch=1, channels=(8, 8), blocks=1, classes=3)))
    x0 = torch.randn(2, 1, 4, 4, dtype=torch.float64, generator=generator(3))
    labels = torch.tensor([0, 3])
    first, second = (
        score_matching_loss(network, SCHEDULE, x0, label, generator(), second_order=0.5, projections=1)
        for label in (labels, None)
    )
    assert first.isfinite()
    assert second.isfinite()
    assert first.item() != second.item()
    first.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_perfect_network_of_a_point_mass():
    """eps is known exactly then: l_1 = 0 and sigma^2 H = -I, so that both terms vanish."""
    point = torch.tensor([[0.3, -0.2]], dtype=torch.float64)

    def network(x, t, label):
        alpha, sigma = SCHEDULE.alpha(t)[:, None], SCHEDULE.sigma(t)[:, None]
        return (x - alpha * point) / sigma

    loss = score_matching_loss(
        network, SCHEDULE, point.expand(16, -1), None, generator(), second_order=1.0, projections=0
    )
    assert loss.item() < (100 * EPS / SCHEDULE.sigma(0).item()) ** 2


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
def test_errors_of_single_samples_are_the_definition(mlp, prediction):
    x0, t = data(), 7
    first, second = score_matching_errors(
        mlp, SCHEDULE, x0, None, t, generator(2), prediction=prediction, projections=0
    )
    noise = torch.randn(x0.shape, generator=generator(2), dtype=x0.dtype)
    alpha, sigma = SCHEDULE.alpha(t), SCHEDULE.sigma(t)
    for i, (clean, eps) in enumerate(zip(x0, noise, strict=True)):

        def score(z):
            return score_from_prediction(mlp(z[None], t)[0], z, alpha, sigma, prediction)

        x = alpha * clean + sigma * eps
        l1 = sigma * score(x) + eps
        H = torch.autograd.functional.jacobian(score, x)
        M = sigma**2 * H + torch.eye(3).double() - torch.outer(l1, l1)
        assert first[i].item() == pytest.approx(l1.square().mean().item(), rel=1e4 * EPS)
        assert second[i].item() == pytest.approx(M.square().sum().item() / 3, rel=1e4 * EPS)
    assert not first.requires_grad
    assert not second.requires_grad


def test_random_directions_estimate_single_errors(mlp):
    """Many samples with noises of their own, each with a few directions of its own: their mean is exact."""
    x0 = data(2).repeat_interleave(1000, 0)
    exact = score_matching_errors(mlp, SCHEDULE, x0, None, 7, generator(2), projections=0)
    many = score_matching_errors(mlp, SCHEDULE, x0, None, 7, generator(2), projections=4)
    assert torch.equal(exact[0], many[0])  # the noise is drawn before the directions
    # One direction in three dimensions has a relative spread of at most about 1: five standard errors.
    ratio = (many[1] / exact[1]).reshape(2, 1000)
    assert torch.allclose(ratio.mean(1), torch.ones(2).double(), rtol=5 / 4000**0.5)
    assert (ratio != 1).any(1).all()


def test_errors_of_images_follow_their_labels():
    network = randomized(UNet(UNetConfig(image_size=4, patch=1, channels=(8, 8), blocks=1, classes=3)))
    x0 = torch.randn(2, 1, 4, 4, dtype=torch.float64, generator=generator(3))
    each = score_matching_errors(network, SCHEDULE, x0, torch.tensor([0, 3]), 5, generator(), projections=2)
    for label, row in ((0, 0), (None, 1)):
        alone = score_matching_errors(network, SCHEDULE, x0, label, 5, generator(), projections=2)
        for a, b in zip(each, alone, strict=True):
            assert a[row].item() == pytest.approx(b[row].item(), rel=1e4 * EPS)
            assert a[1 - row].item() != pytest.approx(b[1 - row].item(), rel=1e-6)


def test_attention_backends_are_as_before(mlp):
    def flags():
        return torch.backends.cuda.flash_sdp_enabled(), torch.backends.cuda.mem_efficient_sdp_enabled()

    before = flags()
    score_matching_loss(mlp, SCHEDULE, data(), None, generator(), second_order=0.5)
    assert flags() == before
