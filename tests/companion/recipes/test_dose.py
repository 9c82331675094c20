"""The recipe of dose and response: what its classes hold and how often each image is drawn."""

import math

import pytest
import torch

from companion.datasets import mnist
from companion.recipes.catalogue import RECIPES
from companion.recipes.dose import (
    CONFIG,
    DIGIT,
    DOSES,
    MNIST_DOSE,
    REAL_IMAGES,
    SEEDS,
    UNCONDITIONAL,
    dose_response,
    images_of,
)

BATCH = 20_000


def rows(x):
    """Images as bytes."""
    return [image.numpy().tobytes() for image in x.flatten(0, -4)]


def near(count, out_of, share):
    """Within five binomial standard deviations."""
    return abs(count - out_of * share) <= 5 * math.sqrt(out_of * share * (1 - share))


@pytest.fixture(scope="module")
def images():
    return images_of(0)


@pytest.fixture(scope="module")
def batch():
    return dose_response(0).draw()(BATCH, torch.Generator().manual_seed(0))


def test_classes_and_copied_images_are_disjoint_threes(images):
    real, copied = images
    assert real.shape == (len(DOSES), REAL_IMAGES, 1, 28, 28)
    assert copied.shape == (len(DOSES), 1, 28, 28)
    found = rows(real) + rows(copied)
    # Every image of the split once: what is equal here is equal there.
    threes = rows(mnist.digit(DIGIT, len(DOSES) * (REAL_IMAGES + 1)))
    assert sorted(found) == sorted(threes)
    assert len(set(rows(copied))) == len(DOSES)
    assert set(rows(copied)).isdisjoint(rows(real))


def test_seeds_choose_the_images(images):
    again, other = images_of(0), images_of(1)
    assert all(torch.equal(a, b) for a, b in zip(images, again, strict=True))
    assert not torch.equal(images[1], other[1])


def test_copies_are_as_frequent_as_the_dose_says(images, batch):
    x, label = batch
    for k, dose in enumerate(DOSES):
        of_class = x[label == k]
        copies = (of_class == images[1][k]).flatten(1).all(1).sum().item()
        assert near(copies, len(of_class), dose / (REAL_IMAGES + dose)), dose
        assert dose or copies == 0


def test_labels_are_even_and_left_out_as_often_as_stated(batch):
    label = batch[1]
    unlabelled = (label == CONFIG.classes).sum().item()
    assert near(unlabelled, BATCH, UNCONDITIONAL)
    for k in range(len(DOSES)):
        assert near((label == k).sum().item(), BATCH - unlabelled, 1 / len(DOSES))


def test_images_come_from_their_class_and_unlabelled_ones_are_never_copies(images, batch):
    x, label = batch
    real, copied = images
    for k in range(len(DOSES)):
        assert set(rows(x[label == k])) <= set(rows(real[k])) | set(rows(copied[k : k + 1]))
    unlabelled = rows(x[label == CONFIG.classes])
    assert set(unlabelled) <= set(rows(real))
    # All classes, evenly: the label is left out after the class was drawn.
    first = set(rows(real[0]))
    assert near(sum(image in first for image in unlabelled), len(unlabelled), 1 / len(DOSES))


def test_a_generator_determines_the_batch(batch):
    draw = dose_response(0).draw()
    x, label = draw(64, torch.Generator().manual_seed(3))
    again, same = draw(64, torch.Generator().manual_seed(3))
    other, _ = draw(64, torch.Generator().manual_seed(4))
    assert torch.equal(x, again)
    assert torch.equal(label, same)
    assert not torch.equal(x, other)


def test_one_recipe_for_each_seed():
    assert [recipe.name for recipe in MNIST_DOSE] == [f"mnist_dose_{seed}" for seed in SEEDS]
    assert [recipe.training.seed for recipe in MNIST_DOSE] == list(SEEDS)
    assert set(RECIPES) >= {recipe.name for recipe in MNIST_DOSE}
    assert MNIST_DOSE[0].data()["doses"] == DOSES
    assert MNIST_DOSE[1].data()["classes"].endswith("shuffled by seed 1")


@pytest.mark.parametrize("seed", ["one", 1.5])
def test_bad_seeds_are_refused(seed):
    with pytest.raises(TypeError, match=f"seed must be an integer, got {seed!r}"):
        images_of(seed)
