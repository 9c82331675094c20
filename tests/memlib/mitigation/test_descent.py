"""The descent on functions whose minimum is known."""

from functools import partial

import pytest
import torch

from memlib.mitigation.descent import NEVER, descend

SGD = partial(torch.optim.SGD, lr=0.25)
START = torch.tensor([[4.0], [1.0], [0.1], [-8.0]], dtype=torch.float64)


def squared(x, rows):
    return x.square().sum(1)  # a step of SGD halves x


def test_every_row_stops_where_it_is_small_enough():
    found = descend(squared, START, threshold=0.3, steps=4, optimizer=SGD)
    assert found.step.tolist() == [3, 1, 0, 4]
    assert found.found.flatten().tolist() == [0.5, 0.5, 0.1, -0.5]
    assert found.objective.tolist() == pytest.approx([0.25, 0.25, 0.01, 0.25])
    assert found.evaluations.tolist() == [4, 2, 1, 5]
    assert found.gradients.tolist() == [3, 1, 0, 4]
    assert found.reached.all()


def test_what_is_not_reached_ends_at_the_best_point_seen():
    found = descend(squared, START, threshold=0.3, steps=2, optimizer=SGD)
    assert found.step.tolist() == [NEVER, 1, 0, NEVER]
    assert found.found.flatten().tolist() == [1.0, 0.5, 0.1, -2.0]
    assert found.reached.tolist() == [False, True, True, False]
    uphill = descend(squared, START[:1], threshold=0.3, steps=3, optimizer=partial(torch.optim.SGD, lr=2.0))
    assert uphill.found.item() == 4.0
    assert uphill.evaluations.item() == 4


def test_a_row_does_not_feel_the_others():
    adam = partial(torch.optim.Adam, lr=0.3)
    together = descend(squared, START, threshold=0.3, steps=20, optimizer=adam)
    for row in range(4):
        alone = descend(squared, START[row : row + 1], threshold=0.3, steps=20, optimizer=adam)
        assert torch.equal(alone.found[0], together.found[row])
        assert alone.step.item() == together.step[row].item()


def test_the_objective_is_told_its_rows():
    targets = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64)
    found = descend(
        lambda x, rows: (x[:, 0] - targets[rows]).square(), START, threshold=1e-3, steps=20, optimizer=SGD
    )
    torch.testing.assert_close(found.found[:, 0], targets, rtol=0, atol=0.04)


def test_projection_and_no_gradient_at_the_last_point():
    flags = []

    def noting(x, rows):
        flags.append(torch.is_grad_enabled())
        return squared(x, rows)

    found = descend(
        noting, START[:1], threshold=1e-9, steps=2, optimizer=SGD, project=lambda x: x.clamp(min=1.5)
    )
    assert found.found.item() == 1.5
    assert flags == [True, True, False]


def test_a_start_is_left_alone_and_no_steps_only_judge():
    start = START.clone()
    found = descend(squared, start, threshold=1.0, steps=0, optimizer=SGD)
    assert torch.equal(start, START)
    assert torch.equal(found.found, START)
    assert found.step.tolist() == [NEVER, 0, 0, NEVER]
    assert found.gradients.sum() == 0


def test_an_objective_that_is_not_finite():
    with pytest.raises(FloatingPointError, match="smaller learning rate"):
        descend(lambda x, rows: x.log().sum(1), START, threshold=-9.0, steps=3, optimizer=SGD)
