"""The networks on automobiles: which images each is trained on, and what is refused."""

import json
from dataclasses import replace

import pytest
import torch

from companion.datasets import cifar10
from companion.recipes.cifar10 import AVAILABLE, CIFAR10, CONFIG, HALVED, STEPS, automobiles, training_images
from memlib.networks import CheckpointError, load_checkpoint
from memlib.networks.unet import UNetConfig

TINY = UNetConfig(image_channels=3, image_size=32, patch=4, channels=(8, 8), blocks=1, classes=1)
SMALLER = replace(TINY, channels=(8, 16))


def rows(images):
    return {image.numpy().tobytes() for image in images}


def short(network=TINY, count=2):
    return automobiles(count, network=network, steps=2).with_training(batch=2)


@pytest.mark.parametrize("count", [1, 64, 2048])
def test_halves_are_the_two_ends_and_share_no_image(count):
    everything, _ = cifar10.load("train")
    first, last = training_images(count), training_images(count, "last")
    assert len(everything) == AVAILABLE
    assert torch.equal(first, everything[:count])
    assert torch.equal(last, everything[AVAILABLE - count :])
    assert not rows(first) & rows(last)


@pytest.mark.parametrize("half", ["first", "last"])
def test_batches_are_even_draws_from_the_images_of_the_recipe(half):
    """With 5 images and 2,000 draws each image comes 400 times, within five standard deviations."""
    batch, label = automobiles(5, half, steps=1).draw()(2000, torch.Generator().manual_seed(0))
    assert label is None
    images = training_images(5, half)
    counts = [int((batch == image).flatten(1).all(1).sum()) for image in images]
    assert sum(counts) == 2000
    assert all(abs(count - 400) < 5 * (2000 * 0.2 * 0.8) ** 0.5 for count in counts)


def test_disjoint_halves_ship_at_three_sizes():
    shipped = {recipe.name for recipe in CIFAR10}
    assert shipped == {f"cifar10_first_{n}" for n in STEPS} | {f"cifar10_last_{n}" for n in HALVED}
    assert all(2 * n <= AVAILABLE for n in HALVED)
    assert all(recipe.network().config == CONFIG for recipe in CIFAR10)
    assert {recipe.name: recipe.training.steps for recipe in CIFAR10 if "first" in recipe.name} == {
        f"cifar10_first_{n}": steps for n, steps in STEPS.items()
    }


def test_the_card_says_which_images():
    assert automobiles(512, "last").data()["images"] == "the last 512 of 5000"


@pytest.mark.parametrize("half", ["first", "last"])
@pytest.mark.parametrize("count", [0, -1, AVAILABLE + 1])
def test_sizes_outside_the_data_are_refused(count, half):
    with pytest.raises(ValueError, match=rf"count must lie in \[1, 5000\].*got {count}"):
        training_images(count, half)


def test_a_half_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="half must be 'first' or 'last', got 'middle'"):
        training_images(64, "middle")


def test_a_size_that_does_not_ship_needs_its_steps():
    with pytest.raises(
        ValueError, match=r"no network on 100 images ships, those on \[64, .* say how many steps"
    ):
        automobiles(100)
    assert automobiles(100, steps=7).training.steps == 7


def test_a_training_does_not_go_on_with_another_network(tmp_path):
    """A state left by one architecture is refused by a recipe with another, and kept."""

    recipe, folder = short(), tmp_path / "cifar10"
    draw, left = recipe.draw(), [1]

    def once(batch, generator):
        if not left:
            raise KeyboardInterrupt
        left.pop()
        return draw(batch, generator)

    with pytest.raises(KeyboardInterrupt):
        replace(recipe, draw=lambda: once).train(folder, save_every=1)
    with pytest.raises(ValueError, match=r"training-state\.safetensors was left by another training"):
        short(SMALLER).train(folder)
    assert recipe.train(folder).card["network"]["config"]["channels"] == [8, 8]


def test_weights_of_another_architecture_are_refused(tmp_path):
    """The card of one network beside the weights of another, even with their hash on it."""
    short().train(tmp_path / "one")
    short(SMALLER).train(tmp_path / "other")
    card = json.loads((tmp_path / "one/card.json").read_text())
    card["sha256"] = json.loads((tmp_path / "other/card.json").read_text())["sha256"]
    (tmp_path / "other/card.json").write_text(json.dumps(card))
    with pytest.raises(CheckpointError, match="its weights were saved with"):
        load_checkpoint(tmp_path / "other")
