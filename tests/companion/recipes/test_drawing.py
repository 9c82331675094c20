"""Batches drawn with replacement."""

import pytest
import torch

from companion.recipes.drawing import with_replacement


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_every_sample_comes_as_often_and_with_its_own_label():
    samples, labels = 10.0 * torch.arange(4.0)[:, None], torch.arange(4)
    x, label = with_replacement(samples, labels)(8000, generator())
    assert torch.equal(x[:, 0], 10.0 * label)
    counts = torch.bincount(label, minlength=4)
    assert ((counts - 2000).abs() < 5 * (8000 * 0.25 * 0.75) ** 0.5).all()


def test_the_generator_alone_decides():
    draw = with_replacement(torch.arange(100.0))
    (first, none), (again, _), (other, _) = (
        draw(50, generator()),
        draw(50, generator()),
        draw(50, generator(1)),
    )
    assert none is None
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_label_for_each_sample():
    with pytest.raises(ValueError, match="each sample needs a label, got 3 for 4"):
        with_replacement(torch.zeros(4, 2), torch.zeros(3))
