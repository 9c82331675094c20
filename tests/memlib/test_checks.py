"""Checks return good tensors unchanged and say what is wrong with bad ones."""

import pytest
import torch

from memlib import checks


def test_good_tensors_come_back_unchanged():
    x = torch.zeros(2, 3)
    assert checks.floating("x", x) is x
    assert checks.finite("x", x) is x
    assert checks.shaped("x", x, (3,)) is x
    assert checks.batched("x", x, (3,)) is x


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([1.0], r"x must be a torch tensor, got list.*torch\.as_tensor"),
        (torch.ones(2, 3, dtype=torch.int64), r"floating dtype, got torch\.int64.*\.double\(\)"),
        (torch.ones(2, 3, dtype=torch.complex64), "floating dtype"),
        (torch.tensor([[0.0, 1.0], [float("nan"), 1.0], [0.0, float("inf")]]), r"rows \[1, 2\]"),
        (torch.tensor(float("nan")), r"rows \[0\]"),
        (torch.tensor(1.0), r"shape \(B, \.\.\.\).*got \(\)"),
        (torch.ones(3), r"batch first, got \(3,\)"),
        (torch.ones(0, 3), r"empty, of shape \(0, 3\)"),
        (torch.ones(3, 0), r"empty, of shape \(3, 0\)"),
    ],
)
def test_bad_batches_are_named(x, message):
    with pytest.raises(ValueError, match=message):
        checks.batched("x", x)


@pytest.mark.parametrize("check", [checks.batched, checks.shaped])
def test_another_sample_shape_is_named(check):
    with pytest.raises(ValueError, match=r"shape \(B, 1, 4\), batch first, got \(2, 4\)"):
        check("x", torch.ones(2, 4), (1, 4))
