"""Second derivatives of convolutions: the same numbers as torch's, without those that nobody reads."""

import pytest
import torch
from torch.nn import Conv2d, Sequential, SiLU
from torch.utils._python_dispatch import TorchDispatchMode

from memlib.hessian import JacobianOperator
from memlib.hessian.convolution import FixedConvolutions
from memlib.hessian.graph import Graph
from memlib.score import Score

from .oracles import generator

KINDS = {
    "plain": {"kernel_size": 3, "padding": 1},
    "without bias": {"kernel_size": 3, "padding": 1, "bias": False},
    "dilated": {"kernel_size": 3, "padding": 2, "dilation": 2},
    "grouped": {"kernel_size": 3, "padding": 1, "groups": 2},
    "by name": {"kernel_size": 3, "padding": "same"},
    "circular": {"kernel_size": 3, "padding": 1, "padding_mode": "circular"},
}


def network(kind="plain"):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = Sequential(
            Conv2d(2, 4, 3, padding=1),
            SiLU(),
            Conv2d(4, 6, 3, stride=2, padding=1),
            SiLU(),
            Conv2d(6, 8, **KINDS[kind]),
            SiLU(),
            torch.nn.Upsample(scale_factor=2),
            Conv2d(8, 2, 1),
        )
    return made.double().requires_grad_(False)


def points(seed=0):
    return torch.randn(3, 2, 6, 6, dtype=torch.float64, generator=generator(seed))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("product", ["jvp", "vjp", "symmetric"])
def test_products_are_those_of_autograd(kind, product):
    score, x = network(kind), points()
    v = torch.randn(3, 72, dtype=torch.float64, generator=generator(1))
    forward = torch.func.jvp(score, (x,), (v.reshape(x.shape),))[1].flatten(1)
    (back,) = torch.func.vjp(score, x)[1](v.reshape(x.shape))
    back = back.flatten(1)
    expected = {"jvp": forward, "vjp": back, "symmetric": (forward + back) / 2}[product]
    with JacobianOperator(Score(score, alpha=1.0, sigma=1.0), x, product=product) as op:
        torch.testing.assert_close(op.matvec(v), expected, rtol=1e-10, atol=1e-12)


class Counted(TorchDispatchMode):
    """How often a convolution runs, forward or back."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if "convolution" in func.__name__:
            self.calls.append(func.__name__)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(("product", "times"), [("jvp", 1), ("symmetric", 2)])
def test_a_product_takes_each_convolution_once_a_sweep(product, times):
    score, x = network(), points()
    graph = Graph(score, x, 1, twice=True)
    with Counted() as counted:
        graph.product(x, product)
    assert len(counted.calls) == 4 * times


def test_the_graph_has_the_bits_of_torchs_own():
    score, x = network(), points()
    with FixedConvolutions():
        inside = score(x)
    assert torch.equal(inside, score(x))


def test_weights_with_gradients_keep_them():
    score, x = network().requires_grad_(True), points()
    with FixedConvolutions():
        score(x).square().sum().backward()
    expected = network().requires_grad_(True)
    expected(x).square().sum().backward()
    for ours, theirs in zip(score.parameters(), expected.parameters(), strict=True):
        assert torch.equal(ours.grad, theirs.grad)


def test_scores_that_differentiate_themselves():
    """The score of an energy, by torch.func."""
    inner, x = network(), points()
    score = Score(torch.func.grad(lambda x: -inner(x).square().sum() / 2), alpha=1.0, sigma=1.0)
    v = torch.randn(3, 72, dtype=torch.float64, generator=generator(1))
    with JacobianOperator(score, x, product="jvp") as one, JacobianOperator(score, x) as other:
        torch.testing.assert_close(one.matvec(v), other.matvec(v), rtol=1e-9, atol=1e-12)


def test_mixed_precision_is_left_to_torch():
    inner, x = network().float(), points().float()

    def score(x):
        with torch.autocast("cpu", torch.bfloat16):
            return inner(x).float()

    graph = Graph(score, x, 1, twice=True)
    assert torch.isfinite(graph.product(x, "jvp")).all()
