"""Neighbours against brute force, and what is called a copy."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from companion.datasets import cifar10
from memlib import copies


def images(count, seed=0, shape=(3, 4, 4)):
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed))


def brute_force(points, training):
    """All distances by differences, in float64."""
    a, b = (x.flatten(1).double().numpy() for x in (points, training))
    return np.linalg.norm(a[:, None] - b[None], axis=2)


@given(
    points=st.integers(1, 9),
    training=st.integers(2, 9),
    seed=st.integers(0, 99),
    scale=st.sampled_from([1e-4, 1.0]),
)
def test_neighbours_are_those_of_brute_force(points, training, seed, scale):
    x, known = scale * images(points, seed), scale * images(training, seed + 1)
    found = copies.nearest(x, known)
    distances = brute_force(x, known)
    assert found.index.tolist() == distances.argmin(1).tolist()
    np.testing.assert_allclose(found.distance, np.sort(distances)[:, 0], rtol=1e-12)
    np.testing.assert_allclose(found.second, np.sort(distances)[:, 1], rtol=1e-12)
    assert found.distance.dtype == found.second.dtype == torch.float64
    assert ((found.ratio >= 0) & (found.ratio <= 1)).all()


def test_the_distance_of_a_near_copy_keeps_its_digits():
    """In float32 |x|^2 - 2 x y + |y|^2 would leave nothing of a difference of 1e-5 at a norm of 700."""
    known = 100 * images(5).double()
    shift = torch.zeros_like(known)
    shift[:, 0, 0, 0] = 1e-5
    found = copies.nearest(known + shift, known)
    assert found.index.tolist() == list(range(5))
    np.testing.assert_allclose(found.distance, 1e-5, rtol=1e-6)


def test_many_points_are_taken_in_parts(monkeypatch):
    x, known = images(23), images(11, seed=1)
    whole = copies.nearest(x, known), copies.nearest(known, known, exclude_self=True)
    monkeypatch.setattr(copies, "ROWS", 4)
    parts = copies.nearest(x, known), copies.nearest(known, known, exclude_self=True)
    for one, other in zip(whole, parts, strict=True):
        assert torch.equal(one.index, other.index)
        assert torch.equal(one.ratio, other.ratio)


def test_an_image_is_not_its_own_neighbour():
    known = images(7)
    found = copies.nearest(known, known, exclude_self=True)
    distances = brute_force(known, known)
    np.fill_diagonal(distances, np.inf)
    np.testing.assert_allclose(found.distance, distances.min(1), rtol=1e-12)
    assert not copies.nearest(known, known).distance.any()


def test_the_ratio_test_finds_copies_and_nothing_else():
    known = images(20)
    found = copies.nearest(torch.cat([known + 0.01 * images(20, seed=1), images(20, seed=2)]), known)
    assert copies.is_copy(found).tolist() == [True] * 20 + [False] * 20
    assert not copies.is_copy(found, ratio=0).any()
    assert copies.is_copy(found, ratio=1.1).all()


def test_a_twin_in_the_training_set_hides_a_copy_unless_it_is_named():
    known = torch.cat([images(6), images(1) + 1e-3])
    copy = known[:1] + 0.01 * images(1, seed=3)
    assert not copies.is_copy(copies.nearest(copy, known))
    groups = torch.tensor([0, 1, 2, 3, 4, 5, 0])
    assert copies.is_copy(copies.nearest(copy, known, groups=groups))


def test_an_image_held_twice_is_a_copy_all_the_same():
    known = images(3)[[0, 0, 1, 2]]
    assert copies.nearest(known[:1], known).ratio.item() == 0


@pytest.mark.parametrize("rate", [0.0, 0.01, 0.1, 0.5])
def test_the_allowed_ratio_keeps_its_rate_and_is_the_largest_that_does(rate):
    held_out, known = images(100, seed=1, shape=(2,)), images(30, shape=(2,))
    found = copies.nearest(held_out, known)
    threshold = copies.allowed_ratio(found, false_positive_rate=rate)
    assert copies.is_copy(found, ratio=threshold).double().mean() <= rate
    above = np.nextafter(threshold, 2)
    assert copies.is_copy(found, ratio=above).double().mean() > rate


def test_twins_are_joined_through_others_and_brightness_and_contrast_do_not_part_them():
    first, other, flat = images(1), images(1, seed=1), torch.full((1, 3, 4, 4), 0.3)
    near, nearer = (first + share * images(1, seed=2) for share in (0.35, 0.8))
    found = copies.twins(torch.cat([first, other, 0.2 * near - 0.5, flat, nearer, -first]), correlation=0.9)
    assert np.corrcoef(first.flatten(), nearer.flatten())[0, 1] < 0.9
    assert found.tolist() == [0, 1, 0, 2, 0, 3]
    assert found.dtype == torch.int64


def test_twins_among_the_automobiles_are_those_of_the_card():
    """Of the first 512 training images the card counts 4 with a twin above 0.9, and 2 above 0.95."""
    automobiles, _ = cifar10.load("train", 512)
    for correlation, count in ((0.9, 4), (0.95, 2)):
        sizes = torch.bincount(copies.twins(automobiles, correlation=correlation))
        assert sizes[sizes > 1].sum() == count


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"points": images(2, shape=(3, 4, 5))}, r"points must have shape \(B, 3, 4, 4\)"),
        ({"points": images(2)[:0]}, "points is empty"),
        ({"points": images(2) * torch.nan}, r"points has NaN or infinite entries in rows \[0, 1\]"),
        ({"training": images(1)}, "needs 2 different training images, got 1 in 1 groups"),
        (
            {"training": (images(4) * 255).to(torch.uint8)},
            "training must have a floating dtype, got torch.uint8",
        ),
        ({"exclude_self": True}, "points that are the training set, 2 are not 4"),
        ({"groups": torch.zeros(3)}, r"one number for each of 4 images, got \(3,\)"),
        ({"groups": torch.zeros(4)}, "needs 2 different training images, got 4 in 1 groups"),
    ],
)
def test_bad_input_is_named(change, message):
    given = {"points": images(2), "training": images(4)} | change
    with pytest.raises(ValueError, match=message):
        copies.nearest(**given)


@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan")])
def test_a_rate_outside_its_range_is_named(rate):
    with pytest.raises(ValueError, match=r"false_positive_rate must lie in \[0, 1\)"):
        copies.allowed_ratio(copies.nearest(images(3), images(3, seed=1)), false_positive_rate=rate)
