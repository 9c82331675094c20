"""The recipe of the digit classifier: what it draws, what its card says, and that the card is true."""

from dataclasses import replace

import pytest
import torch

from companion.datasets import mnist
from companion.datasets.files import read_checksums
from companion.fitting import Classifier, ClassifierConfig, FitConfig, classify
from companion.paths import data_root
from companion.recipes.catalogue import RECIPES
from companion.recipes.classifier import DIGIT_CLASSIFIER, ClassifierRecipe
from memlib import intervals
from memlib.networks import MLP, CheckpointError, MLPConfig, save_checkpoint


def stripes(count, generator):
    """Noise over horizontal (class 0) or vertical (class 1) stripes."""
    label = torch.randint(2, (count,), generator=generator)
    x = torch.randn(count, 1, 8, 8, generator=generator)
    x[label == 0, :, ::2] += 2.0
    x[label == 1, :, :, ::2] += 2.0
    return x, label


def held_out():
    return stripes(200, torch.Generator().manual_seed(99))


def draw():
    return stripes


@pytest.fixture
def short():
    """A classifier of a moment."""
    return ClassifierRecipe(
        name="stripes",
        about="stripes across or down",
        network=lambda: Classifier(ClassifierConfig(image_size=8, channels=(16, 16), classes=2)),
        draw=draw,
        data=lambda: {"set": "made up"},
        test=held_out,
        training=FitConfig(steps=30, batch=16, learning_rate=1e-2, warmup=3),
        dtype=torch.float16,
    )


def test_the_card_says_what_the_file_does(short, tmp_path):
    """Accuracy is counted with the rounded weights on the held-out images."""
    found = short.train(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["card.json", "model.safetensors"]
    images, labels = held_out()
    right = classify(found.network, images) == labels
    accuracy = intervals.proportion(right)
    test = found.card["test"]
    assert test["errors"] == int((~right).sum())
    assert test["accuracy"] == {
        "value": accuracy.value,
        "low": accuracy.low,
        "high": accuracy.high,
        "level": 0.95,
        "n": 200,
    }
    assert accuracy.low > 0.5  # better than chance
    assert all(torch.equal(p, p.half().float()) for p in found.network.parameters())
    for entry in ("schedule", "prediction"):
        assert entry not in found.card


def test_a_training_that_was_cut_goes_on(short, tmp_path):
    whole, calls = short.train(tmp_path / "whole"), []

    def cut():
        def batch(size, generator):
            if len(calls) == 20:
                raise KeyboardInterrupt
            calls.append(size)
            return draw()(size, generator)

        return batch

    with pytest.raises(KeyboardInterrupt):
        replace(short, draw=cut).train(tmp_path / "cut", save_every=7)
    assert [p.name for p in (tmp_path / "cut").iterdir()] == ["training-state.safetensors"]
    assert short.train(tmp_path / "cut").card["sha256"] == whole.card["sha256"]


def test_a_folder_of_another_kind_is_refused(short, tmp_path):
    card = {"schedule": {"name": "linear", "steps": 5}, "prediction": "epsilon"}
    save_checkpoint(tmp_path, MLP(MLPConfig(width=8)), card)
    with pytest.raises(CheckpointError, match="holds a MLP, expected a Classifier"):
        short.read(tmp_path)
    short.train(tmp_path / "stripes")
    with pytest.raises(CheckpointError, match="needs 'prediction' and 'schedule'"):
        RECIPES["two_modes"].read(tmp_path / "stripes")


def test_a_network_of_another_kind_is_refused(short, tmp_path):
    wrong = replace(short, network=lambda: MLP(MLPConfig(width=8)))
    with pytest.raises(ValueError, match="needs a Classifier, got MLP"):
        wrong.train(tmp_path)


def test_batches_are_training_digits_with_their_labels():
    images, digits = mnist.load("train")
    known = {image.numpy().tobytes(): digit for image, digit in zip(images, digits.tolist(), strict=True)}
    x, label = DIGIT_CLASSIFIER.draw()(512, torch.Generator().manual_seed(3))
    assert [known[image.numpy().tobytes()] for image in x] == label.tolist()
    assert len(set(label.tolist())) == 10
    assert DIGIT_CLASSIFIER.data()["sha256"] == read_checksums(data_root() / "mnist")


def test_the_shipped_accuracy_is_that_on_the_test_images():
    """The first 1,000 of 10,000: their errors lie within five standard deviations of the card's share."""
    found = DIGIT_CLASSIFIER.load()
    images, digits = (part[:1000] for part in mnist.load("test"))
    share = found.card["test"]["errors"] / found.card["test"]["accuracy"]["n"]
    errors = int((classify(found.network, images) != digits).sum())
    assert found.card["test"]["accuracy"]["n"] == 10_000
    assert found.card["test"]["accuracy"]["low"] > 0.985
    assert abs(errors - 1000 * share) < 5 * (1000 * share * (1 - share)) ** 0.5
