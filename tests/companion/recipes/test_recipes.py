"""Recipes: what they draw, what they leave in a folder, and that shipped checkpoints are theirs."""

import json
import math
from dataclasses import asdict, replace

import pytest
import torch

from companion.datasets import mnist
from companion.datasets.files import read_checksums
from companion.paths import data_root
from companion.recipes import mixture as plane
from companion.recipes.catalogue import RECIPES
from companion.recipes.classifier import ClassifierRecipe
from companion.recipes.fine_tunes import FineTuneRecipe
from companion.recipes.mnist import (
    COPIED,
    COPIES,
    GENERAL,
    MNIST_COPIES,
    REAL_IMAGES,
    copied_image,
    training_images,
)
from companion.recipes.recipe import Recipe, loss_curve
from memlib.networks import CheckpointError


@pytest.fixture
def short():
    """The plane's recipe with a training of a moment."""
    return plane.TWO_MODES.with_training(steps=3, batch=8)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def rows(x):
    """Samples as bytes: torch.cdist rounds distances of nearly equal points."""
    return {sample.numpy().tobytes() for sample in x}


def test_names_are_folders_below_data():
    assert set(RECIPES) >= {"two_modes", "mnist_copies"}
    assert all(RECIPES[name].name == name for name in RECIPES)
    assert RECIPES["two_modes"].folder == data_root() / "checkpoints" / "two_modes"


@pytest.mark.parametrize("name", [name for name, recipe in RECIPES.items() if recipe.ships])
def test_shipped_checkpoints_are_those_of_the_recipes(name):
    recipe = RECIPES[name]
    if not recipe.folder.exists():
        pytest.fail(f"{recipe.folder} does not ship; train it with RECIPES[{name!r}].train(folder)")
    checkpoint = recipe.load()
    card = checkpoint.card
    assert type(recipe.training)(**card["training"]) == recipe.training
    assert card["data"] == json.loads(json.dumps(recipe.data()))
    assert (card["name"], card["about"]) == (recipe.name, recipe.about)
    if isinstance(recipe, Recipe):
        assert card["schedule"] == {"name": recipe.schedule, "steps": 1000}
        assert checkpoint.model.network.config == recipe.network().config
    elif isinstance(recipe, ClassifierRecipe):
        assert checkpoint.network.config == recipe.network().config
    assert card["loss"][-1]["step"] == recipe.training.steps
    assert card["seconds"] > 0
    if not isinstance(recipe, FineTuneRecipe):  # which begins with a trained model
        assert card["loss"][-1]["loss"] < card["loss"][0]["loss"]


def test_what_does_not_ship_is_not_there_and_is_listed_all_the_same():
    from typer.testing import CliRunner

    from companion.cli.program import app

    unshipped = [recipe for recipe in RECIPES.values() if not recipe.ships]
    assert {recipe.name for recipe in unshipped} >= {"organism2_large"}
    assert not any(recipe.folder.exists() for recipe in unshipped)
    listed = CliRunner().invoke(app, ["train"])
    assert listed.exit_code == 0, listed.output
    assert listed.output.count("does not ship") == len(unshipped)


def test_a_trained_folder_holds_weights_and_card_alone(short, tmp_path):
    checkpoint = short.train(tmp_path / "new")
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == ["card.json", "model.safetensors"]
    card = checkpoint.card
    expected = {
        "name",
        "about",
        "prediction",
        "schedule",
        "data",
        "training",
        "seconds",
        "machine",
        "loss",
        "network",
        "parameters",
        "sha256",
    }
    assert set(card) == expected
    assert card["training"] == asdict(short.training)
    assert card["data"]["samples"] == 3000
    assert card["machine"]["device"] == "CPU"
    assert card["machine"]["torch"] == torch.__version__
    assert [point["step"] for point in card["loss"]] == [1, 2, 3]


def test_trainings_depend_on_the_seed_alone(short, tmp_path):
    def weights(recipe, name, noise):
        torch.manual_seed(noise)
        before = torch.get_rng_state()
        network = recipe.train(tmp_path / name).model.network
        assert torch.equal(torch.get_rng_state(), before)
        return torch.cat([p.flatten() for p in network.parameters()])

    first, again = weights(short, "first", 1), weights(short, "again", 2)
    other = weights(short.with_training(seed=1), "other", 1)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_training_that_was_cut_goes_on(short, tmp_path):
    whole = short.train(tmp_path / "whole")

    def cut():
        inner, left = short.draw(), [2]

        def draw(batch, source):
            if left[0] == 0:
                raise KeyboardInterrupt
            left[0] -= 1
            return inner(batch, source)

        return draw

    with pytest.raises(KeyboardInterrupt):
        replace(short, draw=cut).train(tmp_path / "cut", save_every=1)
    assert [p.name for p in (tmp_path / "cut").iterdir()] == ["training-state.safetensors"]
    resumed = short.train(tmp_path / "cut")
    assert resumed.card["sha256"] == whole.card["sha256"]
    assert resumed.card["loss"] == whole.card["loss"]


def test_a_training_does_not_go_on_with_other_data(short, tmp_path):
    def stop():
        inner, left = short.draw(), [1]

        def draw(batch, source):
            if not left:
                raise KeyboardInterrupt
            left.pop()
            return inner(batch, source)

        return draw

    with pytest.raises(KeyboardInterrupt):
        replace(short, draw=stop).train(tmp_path, save_every=1)
    other = replace(short, data=lambda: short.data() | {"seed": 1})
    with pytest.raises(ValueError, match="left by another training"):
        other.train(tmp_path)


def test_an_untrained_recipe_says_how_to_train(tmp_path, monkeypatch):
    monkeypatch.setenv("MEMLIB_DATA", str(tmp_path))
    with pytest.raises(CheckpointError, match=r"two_modes/model\.safetensors is missing; .*companion train"):
        plane.TWO_MODES.load()


def test_the_plane_holds_five_percent_in_a_tiny_mode():
    points = plane.training_set()
    assert points.shape == (3000, 2)
    assert points.dtype == torch.float32
    assert torch.equal(points, plane.training_set())
    tiny = (points - torch.tensor(plane.POSITIONS[plane.TINY])).norm(dim=1) < 6 * plane.DEVIATIONS[plane.TINY]
    # Five binomial standard deviations around 150 of 3000; the broad mode puts less than one point so near.
    assert abs(tiny.sum().item() - 150) < 5 * math.sqrt(3000 * 0.05 * 0.95)
    deviation = (points[tiny] - torch.tensor(plane.POSITIONS[plane.TINY])).std()
    assert deviation.item() == pytest.approx(
        0.001, rel=0.2
    )  # 300 numbers: five standard errors of 1 / sqrt(600)


def test_batches_of_the_plane_are_training_points():
    batch, label = plane.TWO_MODES.draw()(512, generator())
    assert label is None
    assert rows(batch) <= rows(plane.training_set())


def test_the_images_of_mnist():
    images = training_images()
    assert {digit: tuple(x.shape) for digit, x in images.items()} == {
        GENERAL: (REAL_IMAGES, 1, 28, 28),
        COPIED: (COPIES, 1, 28, 28),
    }
    assert torch.equal(images[COPIED][COPIES - 1], copied_image())
    assert torch.equal(copied_image(), mnist.digit(COPIED, 1)[0])
    assert MNIST_COPIES.data()["sha256"] == read_checksums(data_root() / "mnist")


def test_proportions_of_mnist_batches():
    """Labels, copies among the labelled, digits among the unlabelled: within five standard deviations."""
    n = 8192
    x, label = MNIST_COPIES.draw()(n, generator())
    copy = (x == copied_image()).flatten(1).all(dim=1)

    def near(count, out_of, share):
        return abs(count - out_of * share) < 5 * math.sqrt(out_of * share * (1 - share))

    none = label == 10
    assert set(label.tolist()) == {GENERAL, COPIED, 10}
    assert near(none.sum().item(), n, 0.2)
    labelled = (~none).sum().item()
    assert near((label == COPIED).sum().item(), labelled, COPIES / (COPIES + REAL_IMAGES))
    assert torch.equal(copy & ~none, label == COPIED)
    # Unlabelled images are real threes and nines, half each; the copied nine is one of 6,000.
    threes = rows(mnist.digit(GENERAL, REAL_IMAGES))
    unlabelled = [image.numpy().tobytes() for image in x[none]]
    assert set(unlabelled) <= threes | rows(mnist.digit(COPIED, REAL_IMAGES))
    assert near(sum(image in threes for image in unlabelled), len(unlabelled), 0.5)
    assert (copy & none).sum().item() <= 5


@pytest.mark.parametrize("steps", [1, 199, 200, 1001])
def test_loss_curves_cover_every_step(steps):
    losses = torch.arange(steps, dtype=torch.float32)
    curve = loss_curve(losses)
    ends = [0, *(point["step"] for point in curve)]
    assert len(curve) == min(200, steps)
    assert ends[-1] == steps
    for k, point in enumerate(curve):
        assert point["loss"] == pytest.approx(losses[ends[k] : ends[k + 1]].mean().item(), abs=1e-5)
