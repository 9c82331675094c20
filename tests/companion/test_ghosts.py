"""Counts of one pass, of two and of the whole spectrum, on matrices whose spectrum is known."""

import torch

from companion import ghosts


def rotated(eigenvalues, generator):
    d = len(eigenvalues)
    basis = torch.linalg.qr(torch.randn(d, d, generator=generator, dtype=torch.float64)).Q
    return basis @ torch.diag(eigenvalues) @ basis.T


def test_one_pass_counts_ghosts_where_two_count_the_truth():
    """280 eigenvalues near -100 and 20 in [-5, 1]."""
    generator = torch.Generator().manual_seed(0)
    cluster = -100 + 0.1 * torch.rand(280, generator=generator, dtype=torch.float64)
    matrix = rotated(torch.cat([cluster, torch.linspace(-5, 1, 20).double()]), generator)
    starts = torch.randn(2, 300, generator=generator, dtype=torch.float64)
    found = ghosts.counted(matrix, starts, [30, 120], -50.0)
    assert found["steps"].tolist() == [30, 120, 30, 120]
    assert (found["true"] == 20).all()
    late = found[found["steps"] == 120]
    assert (late["twice"] == 20).all()
    assert late["settled"].all()
    assert (late[["once", "once32"]] > 20).all(axis=None)


def test_at_the_papers_threshold_one_pass_counts_where_there_is_nothing():
    """No eigenvalue is above -1; the spurious Ritz values are zero to rounding."""
    generator = torch.Generator().manual_seed(0)
    matrix = rotated(
        -torch.cat([torch.ones(5), 100 + 1e-9 * torch.rand(195, generator=generator)]).double(), generator
    )
    found = ghosts.counted(matrix, torch.randn(8, 200, generator=generator, dtype=torch.float64), [120], 0.0)
    assert (found["true"] == 0).all()
    assert (found["twice"] == 0).all()
    assert (found["once"] > 0).any()
    assert found["top once"].max() < 1e-6


def test_few_steps_agree_with_each_other_and_with_the_spectrum():
    generator = torch.Generator().manual_seed(1)
    matrix = rotated(torch.linspace(-3, 2, 12).double(), generator)
    found = ghosts.counted(matrix, torch.randn(1, 12, generator=generator, dtype=torch.float64), [12], 0.0)
    assert found[["once", "once32", "twice", "true"]].iloc[0].tolist() == [5, 5, 5, 5]


def test_fewer_steps_are_counted_as_if_they_were_all():
    generator = torch.Generator().manual_seed(2)
    matrix = rotated(torch.linspace(-3, 2, 40).double(), generator)
    starts = torch.randn(2, 40, generator=generator, dtype=torch.float64)
    together = ghosts.counted(matrix, starts, [5, 12, 30], 0.0)
    alone = [ghosts.counted(matrix, starts, [steps], 0.0) for steps in (5, 12, 30)]
    for steps, some in zip((5, 12, 30), alone, strict=True):
        assert together[together["steps"] == steps].reset_index(drop=True).equals(some)
