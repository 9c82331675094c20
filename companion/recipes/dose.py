"""Dose and response on MNIST: how many copies of one image among a class's real images make it a copy?

Eight classes of one network hold the same digit: disjoint sets of real images, and in each one more image
copied as often as its dose says. What differs between two classes is the dose alone. Another seed draws other
real images, other copied images and other initial weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from companion.datasets import mnist
from companion.fitting.denoising import TrainingConfig
from companion.fitting.loop import Draw
from companion.recipes.recipe import Recipe
from memlib.networks import DiffusionModel
from memlib.networks.unet import UNet, UNetConfig

DOSES = (0, 1, 3, 10, 30, 100, 300, 1000)
DIGIT, REAL_IMAGES, UNCONDITIONAL = 3, 700, 0.2
SEEDS = range(4)
CONFIG = UNetConfig(channels=(24, 48), blocks=1, classes=len(DOSES))


def images_of(seed: int) -> tuple[Tensor, Tensor]:
    """Real images `(8, 700, 1, 28, 28)` and the one to be copied `(8, 1, 28, 28)` of each dose's class.

    Raises:
        TypeError: the seed is no integer.
    """
    if not isinstance(seed, int):
        raise TypeError(f"seed must be an integer, got {seed!r}")
    threes = mnist.digit(DIGIT, len(DOSES) * (REAL_IMAGES + 1))
    order = torch.randperm(len(threes), generator=torch.Generator().manual_seed(seed))
    shuffled = threes[order].reshape(len(DOSES), REAL_IMAGES + 1, *threes.shape[1:])
    return shuffled[:, 1:], shuffled[:, 0]


def _draw(seed: int) -> Draw:
    """A class, then one of its images, copies counted; with probability 0.2 any real image, unlabelled."""
    real, copied = images_of(seed)
    size = torch.tensor([REAL_IMAGES + dose for dose in DOSES])

    def draw(batch: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        label = torch.randint(len(DOSES), (batch,), generator=generator)
        index = (torch.rand(batch, generator=generator, dtype=torch.float64) * size[label]).long()
        drop = torch.rand(batch, generator=generator) < UNCONDITIONAL
        index = torch.where(drop, torch.randint(REAL_IMAGES, (batch,), generator=generator), index)
        x0 = real[label, index.clamp(max=REAL_IMAGES - 1)]
        is_copy = (index >= REAL_IMAGES)[:, None, None, None]
        return torch.where(is_copy, copied[label], x0), torch.where(drop, CONFIG.classes, label)

    return draw


def _data(seed: int) -> dict[str, Any]:
    return {
        **mnist.card("MNIST, training split"),
        "classes": f"{len(DOSES)} disjoint sets of {REAL_IMAGES} images of {DIGIT}, shuffled by seed {seed}",
        "doses": DOSES,
        "unlabelled": f"real images of all classes, with probability {UNCONDITIONAL}",
    }


def dose_response(seed: int) -> Recipe:
    """The recipe of one network: `seed` chooses images, weights and draws."""
    return Recipe(
        name=f"mnist_dose_{seed}",
        about=f"MNIST: classes of {REAL_IMAGES} threes with one image copied 0 to 1,000 times, seed {seed}",
        network=partial(UNet, CONFIG),
        draw=partial(_draw, seed),
        data=partial(_data, seed),
        training=TrainingConfig(steps=3500, learning_rate=1e-3, seed=seed, precision="bfloat16"),
        dtype=torch.float16,
    )


MNIST_DOSE = tuple(dose_response(seed) for seed in SEEDS)


def networks(
    seeds: Sequence[int], *, train_in: Path | None = None, device: str = "cpu"
) -> list[DiffusionModel]:
    """Trained networks of some seeds.

    Args:
        seeds: of the networks, see `dose_response`.
        train_in: a folder in which they are trained anew; None reads the ones that ship.
        device: on which they are returned, and trained.
    """
    found = []
    for seed in seeds:
        recipe = dose_response(seed)
        trained = recipe.train(train_in / recipe.name, device=device) if train_in else recipe.load(device)
        found.append(trained.model)
    return found
