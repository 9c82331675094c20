"""The products side by side: values of the dense Jacobian, and passes counted at the U-Net."""

import numpy as np
import pytest
import torch
from scipy import stats

from companion.products import agreement, by_product
from memlib.text_to_image import one_step

from ...memlib.text_to_image import oracles

CAPTIONS = ["a cat", "cat", "tac a"]


@pytest.fixture
def noise(exact):
    return exact.noise(2, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("product", ["jvp", "vjp", "difference", "symmetric"])
def test_values_are_those_of_the_dense_jacobian(exact, kind, noise, product):
    t = exact.timesteps()[0]
    found = by_product(exact, exact.encode(CAPTIONS[:1]), noise, product).norms
    for i, x in enumerate(noise):
        conditional, free = (oracles.jacobian(exact, kind, t, x, c) for c in (CAPTIONS[0], ""))
        J = conditional - free
        with torch.no_grad():
            s = oracles.difference(exact, kind, t, x, CAPTIONS[0]).flatten()
        matrix = {"vjp": J.T, "symmetric": (J + J.T) / 2}.get(product, J)
        assert found[0, i].item() == pytest.approx(
            (matrix @ s).norm().item(), rel=1e-4 if product == "difference" else 1e-8
        )


@pytest.mark.parametrize("rows", [2, 64])
def test_values_of_many_prompts_are_those_of_one_step(exact, noise, rows):
    prompts = exact.encode(CAPTIONS)
    for product in ("vjp", "difference"):
        found = by_product(exact, prompts, noise, product, rows=rows, t=501)
        expected = one_step(exact, prompts, noise, product=product, t=501).curvature
        torch.testing.assert_close(found.norms, expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("rows", [2, 4, 64])
def test_passes(exact, noise, rows):
    prompts, cost = exact.encode(CAPTIONS), {}
    for product in ("difference", "vjp", "jvp"):
        found = by_product(exact, prompts, noise, product, rows=rows)
        cost[product] = found.forward, found.backward
    # Forward: with the condition, without one once for three prompts, and both where it is moved to.
    assert cost["difference"] == (pytest.approx(3 + 1 / 3), 0)
    assert cost["vjp"] == (2, 2)  # the doubled batch, there and back
    assert cost["jvp"] == (2, 6)  # and back once more to record how it went, which is then differentiated


def test_the_counter_is_taken_away(exact, noise, monkeypatch):
    by_product(exact, exact.encode(CAPTIONS), noise, "difference")
    assert not exact.unet._forward_pre_hooks
    with pytest.raises(ValueError, match="noise must have shape"):
        by_product(exact, exact.encode(CAPTIONS), noise[:, :1], "difference")
    assert not exact.unet._forward_pre_hooks


def test_unknown_products(exact, noise):
    with pytest.raises(ValueError, match="product must be one of"):
        by_product(exact, exact.encode(CAPTIONS), noise, "forward")


def test_agreement():
    generator = torch.Generator().manual_seed(0)
    first = torch.rand(40, 3, generator=generator, dtype=torch.float64) + 0.5
    same = agreement(2 * first, first)
    assert same.ratio.bounds == (2, 2)
    assert same.largest == 1
    assert (same.rank.value, same.rank.low, same.rank.high) == pytest.approx((1, 1, 1))
    second = first + 0.3 * torch.rand(40, 3, generator=generator, dtype=torch.float64)
    found = agreement(first, second)
    means = first.mean(1).numpy(), second.mean(1).numpy()
    assert found.rank.value == pytest.approx(stats.spearmanr(*means).statistic)
    assert found.rank.low < found.rank.value < found.rank.high < 1
    assert found.ratio.value == pytest.approx(np.median(means[0] / means[1]))
    assert found.largest == pytest.approx(((second - first) / second).max().item())
    assert agreement(first, -second).rank.value == pytest.approx(-found.rank.value)


def test_what_cannot_agree():
    with pytest.raises(ValueError, match=r"values of the same 4 prompts or more"):
        agreement(torch.ones(3, 2), torch.ones(3, 2))
    with pytest.raises(ValueError, match=r"got \(4, 2\) and \(4, 3\)"):
        agreement(torch.ones(4, 2), torch.ones(4, 3))
