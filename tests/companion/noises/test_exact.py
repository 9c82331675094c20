"""Which noises an exact caption sends to its copy: against the closed form, and against the weights."""

import numpy as np
import pytest
import torch

from companion.gaussians import gaussian, random_covariance
from companion.noises import SIGNS, exact_caption, in_half_space, statistics
from memlib import intervals
from memlib.mixture import GaussianMixture
from memlib.schedule import VariancePreserving

SCHEDULE = VariancePreserving.scaled_linear()


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def noise(count, dim, seed=0):
    return torch.randn(count, dim, dtype=torch.float64, generator=seeded(seed))


def caption(share, width=0.05, dim=6, **others):
    generator = seeded(3)
    rest = gaussian(torch.zeros(dim), random_covariance(dim, generator))
    copy = torch.zeros(dim).double()
    copy[0] = 1.5
    given = {"share": share, "share_of_all": share / 50, "width": width, "schedule": SCHEDULE} | others
    return exact_caption(rest, rest, copy, **given)


def first(steps):
    t = SCHEDULE.timesteps(steps)[0]
    return t, (SCHEDULE.alpha(t).item(), SCHEDULE.sigma(t).item())


@pytest.mark.parametrize("share", [0.1, 0.3, 0.7])
def test_of_two_equal_widths_the_copy_gets_a_half_space(share):
    dim, width = 3, 0.1
    rest = GaussianMixture(torch.ones(1), torch.full((1, dim), 0.5), torch.tensor([width**2]))
    copy = rest.means[0] + torch.tensor([1.0, 2.0, -2.0])
    made = exact_caption(rest, rest, copy, share=share, share_of_all=share, width=width, schedule=SCHEDULE)
    x, (t, level) = noise(4000, dim), first(200)
    found = made.ends(x, steps=200)
    expected = in_half_space(x, copy, rest.means[0], share=share, width=width, level=level)
    assert (found != expected).double().mean() < 0.005  # the steps of DDIM move the border a little
    along = x @ (copy - rest.means[0])
    assert along[found].min() > along[~found].max() - 1e-9  # the flow keeps the order
    chance = made.chance(x, t).numpy()
    assert intervals.roc_area(chance[found], chance[~found]) == 1  # and an oracle knows all


def test_without_signal_the_copy_gets_its_share_of_the_noises():
    x, copy = noise(20_000, 3), torch.tensor([1.0, 2.0, -2.0])
    for share in (0.1, 0.5):
        found = in_half_space(x, copy, torch.zeros(3), share=share, width=0.1, level=(0.0, 1.0))
        assert intervals.proportion(found.numpy(), level=0.999).low < share
        assert intervals.proportion(found.numpy(), level=0.999).high > share


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_the_flow_carries_to_the_copy_what_its_weight_says(share):
    """From the density as it is at the first step, which for this schedule is not quite that of noise."""
    made, (_, level) = caption(share), first(100)
    x = made.conditional.diffused(*level).sample(2000, seeded())
    found = intervals.proportion(made.ends(x, steps=100).numpy(), level=0.999)
    assert found.low < share < found.high


def test_guidance_sends_more_noises_to_the_copy():
    made, x = caption(0.3), noise(500, 6)
    shares = [made.ends(x, guidance=scale).double().mean().item() for scale in (1.0, 3.0, 7.5)]
    assert shares == sorted(shares)
    assert shares[-1] > shares[0] + 0.2


def test_the_chance_of_a_sampler_that_draws_is_calibrated():
    """Of points of the density under noise, those with a chance near p come from the copy in p of cases."""
    made, t = caption(0.4), 400
    alpha, sigma = SCHEDULE.alpha(t).item(), SCHEDULE.sigma(t).item()
    generator = seeded(5)
    from_copy = torch.rand(20_000, generator=generator) < 0.4
    parts = [
        GaussianMixture(
            torch.ones(1), made.conditional.means[k : k + 1], made.conditional.covariances[k : k + 1]
        )
        for k in (0, 1)
    ]
    drawn = torch.where(from_copy[:, None], *(p.sample(20_000, generator) for p in parts))
    x = alpha * drawn + sigma * torch.randn(drawn.shape, dtype=torch.float64, generator=generator)
    chance = made.chance(x, t)
    for low, high in ((0.1, 0.3), (0.4, 0.6), (0.7, 0.9)):
        some = (chance >= low) & (chance < high)
        assert some.sum() > 100
        found = intervals.mean(from_copy[some].double().numpy() - chance[some].numpy(), level=0.999)
        assert found.low < 0 < found.high


def test_the_oracle_predicts_the_end_and_a_random_number_does_not():
    made, x = caption(0.3), noise(600, 6)
    ends, t = made.ends(x).numpy(), SCHEDULE.timesteps(50)[0]
    chance = made.chance(x, t).numpy()
    assert intervals.auc(chance[ends], chance[~ends], level=0.999).low > 0.7
    coin = np.random.default_rng(0).normal(size=len(ends))
    found = intervals.auc(coin[ends], coin[~ends], level=0.999)
    assert found.low < 0.5 < found.high


def test_statistics_are_those_of_the_exact_matrices():
    made, x, t = caption(0.3), noise(5, 6), 600
    alpha, sigma = SCHEDULE.alpha(t).item(), SCHEDULE.sigma(t).item()
    under, without = (p.diffused(alpha, sigma) for p in (made.conditional, made.unconditional))
    found = statistics(*made.scores(t), x, probes=200, steps=6)
    assert set(found) == set(SIGNS)
    s, H = under.score(x) - without.score(x), under.hessian(x) - without.hessian(x)
    torch.testing.assert_close(found["difference"], sigma * s.norm(dim=1))
    gain = torch.einsum("bde,be->bd", H, s).norm(dim=1)
    torch.testing.assert_close(found["gain"], sigma**3 * gain, rtol=1e-5, atol=1e-9)
    smallest = torch.linalg.eigvalsh(H)[:, 0]
    torch.testing.assert_close(found["smallest"], sigma**2 * smallest, rtol=1e-6, atol=1e-9)
    total = H.diagonal(dim1=1, dim2=2).sum(1)
    torch.testing.assert_close(found["trace"], sigma**2 * total, rtol=0.2, atol=0.05)
    count = (torch.linalg.eigvalsh(under.hessian(x)) >= 0).sum(1)
    assert (found["count"] - count).abs().max() < 0.5


@pytest.mark.parametrize(("share", "width"), [(0.0, 0.1), (1.0, 0.1), (0.3, 0.0)])
def test_a_caption_without_others_or_without_width_is_refused(share, width):
    with pytest.raises(ValueError, match=r"shares must lie in \(0, 1\) and width be positive"):
        caption(share, width)
