"""A classifier of digits, to say of a sample what it shows: trained on MNIST, its accuracy on the card."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from companion.datasets import mnist
from companion.fitting.classifier import Classifier, ClassifierConfig, classify, train_classifier
from companion.fitting.loop import Draw, FitConfig, TrainingResult
from companion.recipes.drawing import with_replacement
from companion.recipes.recipe import AnyRecipe, Device
from memlib import intervals
from memlib.networks.checkpoint import CheckpointError, load_network, save_network


@dataclass(frozen=True)
class TrainedClassifier:
    """A classifier read from a folder, and its card.

    Attributes:
        network: images in [-1, 1] -> logits.
        card: what `card.json` holds; "test" has the accuracy on held-out images with its interval.
    """

    network: Classifier
    card: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class ClassifierRecipe(AnyRecipe[TrainedClassifier]):
    """How one shipped classifier is made.

    Attributes:
        test: reads the images and labels, never trained on, that the accuracy on the card is counted on.
    """

    test: Callable[[], tuple[Tensor, Tensor]]

    def read(self, folder: Path, device: Device = "cpu") -> TrainedClassifier:
        """The classifier in `folder`.

        Raises:
            CheckpointError: a missing or changed file, or a network of another class.
        """
        network, card = load_network(folder, device)
        if not isinstance(network, Classifier):
            raise CheckpointError(f"{folder} holds a {type(network).__name__}, expected a Classifier")
        return TrainedClassifier(network, card)

    def fit(self, network: nn.Module, state: Path, save_every: int, device: Device) -> TrainingResult:
        """Cross-entropy.

        Raises:
            ValueError: a network of another class.
        """
        if not isinstance(network, Classifier):
            raise ValueError(f"a ClassifierRecipe needs a Classifier, got {type(network).__name__}")
        return train_classifier(
            network, self.draw(), self.training, data=self.data(),
            state=state, save_every=save_every, device=device,
        )  # fmt: skip

    def write(self, folder: Path, network: nn.Module, card: dict[str, Any]) -> None:
        """Write network and card with the accuracy of the weights as they are in the file."""
        images, labels = self.test()
        as_written = copy.deepcopy(network).cpu().to(self.dtype).float()
        right = classify(as_written, images) == labels
        test = {"errors": int((~right).sum()), "accuracy": asdict(intervals.proportion(right))}
        save_network(folder, network, card | {"test": test}, self.dtype)


def _draw() -> Draw:
    return with_replacement(*mnist.load("train"))


def _data() -> dict[str, Any]:
    return {
        **mnist.card("MNIST, training split"),
        "test": "MNIST, test split",
    }


DIGIT_CLASSIFIER = ClassifierRecipe(
    name="digit_classifier",
    about="MNIST: a small convolutional classifier of the ten digits, to say what a sample shows",
    network=lambda: Classifier(ClassifierConfig()),
    draw=_draw,
    data=_data,
    test=partial(mnist.load, "test"),
    training=FitConfig(steps=1200, batch=128, learning_rate=2e-3),
    dtype=torch.float16,
)
