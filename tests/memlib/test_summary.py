"""`memlib.summary` against exact densities and matrices."""

import subprocess
import sys

import pytest
import torch

import memlib
from memlib.mixture import GaussianMixture
from memlib.score import Score


@pytest.fixture(scope="module")
def landscape():
    """A narrow and a broad mode in 12 dimensions, without noise left in the broad one's first half."""
    variances = torch.ones(2, 12).double() * 1e-6
    variances[1, :6] = 1.0
    means = torch.zeros(2, 12).double()
    means[0, 11] = 5.0
    weights = torch.tensor([0.1, 0.9]).double()
    return GaussianMixture(weights, means, torch.diag_embed(variances)).diffused(0.99, 0.14)


def test_it_gives_what_the_exact_hessian_has(landscape):
    x = 0.99 * torch.stack([landscape.means[0] / 0.99, landscape.means[1] / 0.99])
    found = memlib.summary(Score(landscape.score, alpha=0.99, sigma=0.14), x, steps=12, probes=16)
    exact = torch.linalg.eigvalsh(landscape.hessian(x)) * 0.14**2
    torch.testing.assert_close(found.smallest, exact[:, :3], rtol=1e-6, atol=1e-6)
    assert found.nonnegative.value.tolist() == [0, 0]
    assert found.nonnegative.exact.all()
    low, high = found.trace.interval(0.999)
    assert ((low - 1e-6 <= exact.sum(1)) & (exact.sum(1) <= high + 1e-6)).all()
    assert found.local_dimension.value[0] < 0.1
    low, high = found.local_dimension.interval(0.999)
    assert low[1] - 0.1 <= 6 <= high[1] + 0.1
    assert found.asymmetry.ratio.max() < 1e-6


def test_too_few_steps_leave_bounds_and_say_so():
    eigenvalues = torch.linspace(-3, 1, 200).double()
    found = memlib.summary(
        Score(lambda x: x * eigenvalues, alpha=0.5, sigma=1.0), torch.zeros(1, 200).double(), steps=16
    )
    true = int((eigenvalues >= 0).sum())
    assert found.nonnegative.lower[0] <= true <= found.nonnegative.upper[0]
    assert "not settled: take more steps" in str(found)


def test_what_the_asymmetry_takes_away_is_said():
    generator = torch.Generator().manual_seed(0)
    rotation = torch.tensor([[0.0, 1.0], [-1.0, 0.0]]).double()
    symmetric = torch.tensor([[-2.0, 0.5], [0.5, -1.0]]).double()
    for matrix, said in (
        (symmetric, "0% of its squared norm"),
        (symmetric + 3 * rotation, "far from the Hessian"),
    ):
        score = Score(lambda x, matrix=matrix: x @ matrix.T, alpha=0.5, sigma=1.0)
        found = memlib.summary(score, torch.zeros(1, 2).double(), k=2, generator=generator)
        torch.testing.assert_close(found.smallest[0], torch.linalg.eigvalsh(symmetric), atol=1e-9, rtol=0)
        assert said in str(found)
        assert found.asymmetry.ratio[0] == pytest.approx(
            float((matrix - matrix.T).norm() / matrix.norm()), abs=1e-9
        )


def test_one_line_for_each_number_and_a_block_for_each_point():
    printed = str(memlib.summary(Score(lambda x: -x, alpha=0.5, sigma=1.0), torch.zeros(2, 4)))
    assert len(printed.split("\n\n")) == 2
    assert all(len(block.splitlines()) == 5 for block in printed.split("\n\n"))


def test_the_name_is_there_without_loading_torch_before_it_is_asked_for():
    code = (
        "import sys, memlib; assert 'torch' not in sys.modules; memlib.summary; assert 'torch' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no attribute 'sumary'"):
        _ = memlib.sumary
