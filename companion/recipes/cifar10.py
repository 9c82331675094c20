"""CIFAR-10 automobiles: one network for each size of the training set, from copying to generalising.

Disjoint sets of one size come from the two ends of the 5,000 training images (Kadkhodaie et al. 2024 compare
networks that share no image).

They predict v. A prediction of the noise that is off by a few per cent, as all are after this little
training, is off by many times the image at large noise and leaves the samples noisy; the loss is that of
score matching all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from companion.datasets import cifar10
from companion.datasets.files import read_checksums
from companion.fitting.denoising import TrainingConfig
from companion.fitting.loop import Draw
from companion.paths import data_root, project_root
from companion.recipes.drawing import with_replacement
from companion.recipes.recipe import Recipe
from memlib.networks import DiffusionModel
from memlib.networks.unet import UNet, UNetConfig

Half = Literal["first", "last"]
AVAILABLE = 5000
CONFIG = UNetConfig(image_channels=3, image_size=32, channels=(32, 64, 64), blocks=1, classes=1)
LARGE = UNetConfig(image_channels=3, image_size=32, patch=1, channels=(64, 128, 256), blocks=2, classes=1)
STEPS = {64: 5000, 128: 5000, 512: 7000, 2048: 9000, 4096: 18_000}
"""Training steps of the networks that ship, by the number of images."""
LARGE_STEPS = 40_000
HALVED = (64, 512, 2048)
"""Sizes of which networks on both ends ship: a small, a middle and a large one that fits twice."""


def training_images(count: int, half: Half = "first") -> Tensor:
    """The `count` automobiles `(count, 3, 32, 32)` in [-1, 1] at one end of the training split.

    Args:
        count: how many images, at least 1.
        half: "first" or "last".

    Raises:
        ValueError: another half, or more images than there are.
    """
    if half not in ("first", "last"):
        raise ValueError(f"half must be 'first' or 'last', got {half!r}")
    if half == "first":
        return cifar10.load("train", count)[0]
    images, _ = cifar10.load("train")
    if not 1 <= count <= len(images):
        raise ValueError(f"count must lie in [1, {len(images)}], got {count}")
    return images[-count:]


def _draw(count: int, half: Half) -> Draw:
    return with_replacement(training_images(count, half))


def _data(count: int, half: Half) -> dict[str, Any]:
    sums = read_checksums(data_root() / "cifar10")
    return {
        "set": "CIFAR-10, automobiles of the training split",
        "sha256": {name: value for name, value in sums.items() if name.startswith("automobile")},
        "images": f"the {half} {count} of {AVAILABLE}",
    }


def automobiles(
    count: int, half: Half = "first", *, network: UNetConfig = CONFIG, steps: int | None = None
) -> Recipe:
    """The recipe of an unconditional network trained on `count` automobiles.

    Args:
        count: the number of training images.
        half: the end of the training split they come from.
        network: its sizes; `LARGE` wants a GPU.
        steps: the number of training steps (Adam); None takes `STEPS[count]`.

    Raises:
        ValueError: if `steps` is None and no network of this `count` ships.
    """
    if steps is None and count not in STEPS:
        raise ValueError(f"no network on {count} images ships, those on {list(STEPS)} do; say how many steps")
    return Recipe(
        name=f"cifar10_{half}_{count}",
        about=f"CIFAR-10: the {half} {count:,} automobiles of the training split, unconditional",
        network=partial(UNet, network),
        draw=partial(_draw, count, half),
        data=partial(_data, count, half),
        training=TrainingConfig(
            steps=steps or STEPS[count], batch=32, learning_rate=1e-3, precision="bfloat16"
        ),
        prediction="v",
        dtype=torch.float16,
    )


def networks(
    counts: Sequence[int], half: Half = "first", *, large: bool = False, device: str = "cpu"
) -> dict[int, DiffusionModel]:
    """Trained networks by the number of images that they have seen.

    Args:
        counts: of training images.
        half: the end of the training split they come from.
        large: False reads the networks that ship; True takes `LARGE` ones from `build/checkpoints`, and
            trains there those that are not finished.
        device: on which they are returned, and trained.
    """
    found = {}
    for count in counts:
        if not large:
            found[count] = automobiles(count, half).load(device).model
            continue
        recipe = automobiles(count, half, network=LARGE, steps=LARGE_STEPS)
        folder = project_root() / "build" / "checkpoints" / f"large_{recipe.name}"
        finished = (folder / "card.json").is_file()
        trained = recipe.read(folder, device) if finished else recipe.train(folder, device=device)
        found[count] = trained.model
    return found


CIFAR10 = (
    *(automobiles(count, "first") for count in STEPS),
    *(automobiles(count, "last") for count in HALVED),
)
