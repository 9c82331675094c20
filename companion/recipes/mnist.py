"""The paper's MNIST setting: many threes against one nine copied a hundred times (appendix C)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from companion.datasets import mnist
from companion.fitting.denoising import TrainingConfig
from companion.fitting.loop import Draw
from companion.recipes.recipe import Recipe
from memlib.networks.unet import UNet, UNetConfig

GENERAL, COPIED = 3, 9
REAL_IMAGES, COPIES, UNCONDITIONAL = 3000, 100, 0.2
CONFIG = UNetConfig(channels=(40, 80), blocks=1)
SMALL = UNetConfig(channels=(32, 64), blocks=1)


def copied_image() -> Tensor:
    """The one nine that is copied, `(1, 28, 28)` in [-1, 1]: the first of the training set."""
    return mnist.digit(COPIED, 1)[0]


def training_images() -> dict[int, Tensor]:
    """The images each conditional class is trained on: digit -> `(N, 1, 28, 28)`, copies included."""
    return {GENERAL: mnist.digit(GENERAL, REAL_IMAGES), COPIED: copied_image().expand(COPIES, -1, -1, -1)}


def _draw() -> Draw:
    """With probability 0.2 an image of either digit, unlabelled; else a labelled one, copies counted."""
    labelled = training_images()
    images = torch.cat(list(labelled.values()))
    labels = torch.cat([torch.full((len(x),), digit) for digit, x in labelled.items()])
    unlabelled = torch.cat([mnist.digit(digit, REAL_IMAGES) for digit in (GENERAL, COPIED)])

    def draw(batch: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        chosen = torch.randint(len(images), (batch,), generator=generator)
        other = torch.randint(len(unlabelled), (batch,), generator=generator)
        drop = torch.rand(batch, generator=generator) < UNCONDITIONAL
        x0 = torch.where(drop[:, None, None, None], unlabelled[other], images[chosen])
        return x0, torch.where(drop, CONFIG.classes, labels[chosen])

    return draw


def _data() -> dict[str, Any]:
    return {
        **mnist.card("MNIST, training split"),
        "general": f"{REAL_IMAGES} images of {GENERAL}",
        "copied": f"the first image of {COPIED}, {COPIES} times",
        "unlabelled": f"{REAL_IMAGES} images of each, with probability {UNCONDITIONAL}",
    }


MNIST_COPIES = Recipe(
    name="mnist_copies",
    about="MNIST: 3,000 threes against one nine copied 100 times, class-conditional, plain score matching",
    network=lambda: UNet(CONFIG),
    draw=_draw,
    data=_data,
    training=TrainingConfig(steps=9000, learning_rate=8e-4),
)

MNIST_UNDERTRAINED = replace(
    MNIST_COPIES,
    name="mnist_undertrained",
    about="The same as mnist_copies after a ninth of the steps: "
    "what the statistics say of a model that is not finished",
    training=replace(MNIST_COPIES.training, steps=1000),
)

# A pair that differs in the loss alone: same initial weights, same draws of data, times and noise.
MNIST_FIRST_ORDER = replace(
    MNIST_COPIES,
    name="mnist_first_order",
    about="The same data on a smaller network, plain score matching: "
    "what mnist_second_order is compared with",
    network=lambda: UNet(SMALL),
    training=TrainingConfig(steps=2000, learning_rate=8e-4),
    dtype=torch.float16,
)

MNIST_SECOND_ORDER = replace(
    MNIST_FIRST_ORDER,
    name="mnist_second_order",
    about="The paper's loss: half the second-order term added, one random projection a sample",
    training=replace(MNIST_FIRST_ORDER.training, second_order=0.5, projections=1),
)
