"""The ladder: CIFAR-10 networks on small sets, kept at steps in geometric progression as they memorize.

Every run goes through its images equally often, in batches of one size, so that the steps of a run grow with
its set. The learning rate stays where it is after the warm-up: a decay would end every run at its own time.
Seeds differ in the weights, the draws and the images, of which no two seeds share one.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from companion.datasets import cifar10
from companion.datasets.files import read_checksums
from companion.fitting.denoising import TrainingConfig, train
from companion.fitting.loop import Draw, TrainingResult
from companion.onset import SETTINGS, Settings, read, record
from companion.onset.records import FILE
from companion.paths import data_root
from companion.recipes.drawing import with_replacement
from companion.recipes.recipe import AnyRecipe, Device
from memlib.files import whole, write_text
from memlib.networks import DiffusionModel
from memlib.networks.checkpoint import CARD, WEIGHTS, load_checkpoint, save_checkpoint, schedule_named
from memlib.networks.unet import UNet, UNetConfig

CONFIG = UNetConfig(image_channels=3, image_size=16, channels=(48, 64), blocks=1, classes=1)
SIZES, SEEDS = (64, 128, 256, 512), (0, 1, 2)
BATCH, PASSES, FIRST = 16, 1024, 64
"""Images of a step, times that a run sees each of its images, and steps of the first rung."""
SHIPPED_PASSES = (64, 256, 1024)
"""The rungs of the first seed whose weights ship, by how often the images were seen."""


@dataclass(frozen=True)
class LadderConfig(TrainingConfig):
    """A `TrainingConfig` whose learning rate stays where the warm-up has brought it."""

    def rate(self, step: int) -> float:
        """Learning rate at `step`."""
        return self.learning_rate * min(1.0, (step + 1) / max(1, self.warmup))


@dataclass(frozen=True)
class Ladder:
    """The networks of one training, in the order of their steps.

    Attributes:
        folder: where they are.
        card: what the training was.
        steps: of the rungs whose weights are there, ascending.
    """

    folder: Path
    card: dict[str, Any]
    steps: tuple[int, ...]

    def load(self, step: int, device: Device = "cpu") -> DiffusionModel:
        """The network as it was after `step` steps.

        Raises:
            ValueError: the weights of that rung are not there.
        """
        if step not in self.steps:
            raise ValueError(f"{self.folder} holds the weights after {list(self.steps)} steps, not {step}")
        return load_checkpoint(_rung(self.folder, step), device).model


@dataclass(frozen=True, kw_only=True)
class LadderRecipe(AnyRecipe[Ladder]):
    """How one run of the ladder is made.

    Attributes:
        count: the number of training images.
        training: constant learning rate.
        first: steps of the first rung.
        settings: what is measured at every rung, and how finely.
        spectra: whether whole spectra are measured, too.
        schedule: name of the noise schedule, 1,000 steps.
    """

    count: int
    training: LadderConfig
    first: int = FIRST
    settings: Settings = SETTINGS
    spectra: bool = False
    schedule: str = "linear"

    @property
    def rungs(self) -> tuple[int, ...]:
        """Steps after which the network is kept, two for each doubling."""
        return rungs(self.training.steps, self.first)

    def images(self) -> Float[Tensor, "N 3 16 16"]:
        """The training images."""
        return training_images(self.count, self.training.seed)

    def train(self, folder: Path, *, device: Device = "cpu", save_every: int = 200) -> Ladder:
        """Train, keep every rung and measure it on the CPU; call again after a kill to resume."""
        if not (folder / CARD).is_file():
            super().train(folder, device=device, save_every=save_every)
        ladder = self.read(folder)
        record(
            folder, ladder.load, ladder.steps, self.images(), held_out_images(),
            settings=self.settings, spectra=self.spectra,
        )  # fmt: skip
        return ladder

    def read(self, folder: Path, device: Device = "cpu") -> Ladder:  # noqa: ARG002  # of the networks, not of the ladder
        """The ladder in `folder`."""
        found = sorted(int(path.parent.name.removeprefix("step-")) for path in folder.glob(f"step-*/{CARD}"))
        return Ladder(folder, json.loads((folder / CARD).read_text(encoding="utf-8")), tuple(found))

    def fit(self, network: nn.Module, state: Path, save_every: int, device: Device) -> TrainingResult:
        """Score matching; each rung is written beside `state`."""
        schedule = schedule_named(self.schedule, 1000)

        def visit(step: int, average: nn.Module) -> None:
            if step in self.rungs:
                save_checkpoint(_rung(state.parent, step), average, self._of_rung(step), self.dtype)

        return train(
            network, schedule, self.draw(), self.training, prediction="v", data=self.data(),
            state=state, save_every=save_every, device=device, visit=visit,
        )  # fmt: skip

    def write(self, folder: Path, network: nn.Module, card: dict[str, Any]) -> None:  # noqa: ARG002  # the last rung has it
        """Write the card of the training."""
        write_text(folder / CARD, json.dumps(card | {"rungs": self.rungs}, indent=1) + "\n")

    def _of_rung(self, step: int) -> dict[str, Any]:
        return {
            "name": self.name,
            "about": f"{self.about}, after {step:,} steps",
            "data": self.data(),
            "steps": step,
            "passes": step * self.training.batch / self.count,
            "prediction": "v",
            "schedule": {"name": self.schedule, "steps": 1000},
        }


def ship(recipe: LadderRecipe, folder: Path, to: Path | None = None) -> Ladder:
    """Copy what ships of a finished run: card, measurements, and of the first seed a few rungs' weights.

    Args:
        recipe: of the run.
        folder: where it was trained.
        to: None takes the place where it ships.

    Raises:
        ValueError: not every rung has been measured.
    """
    missing = set(recipe.rungs) - set(read(folder))
    if missing:
        raise ValueError(f"{folder} lacks what is measured after {sorted(missing)} steps; train on")
    to = to or recipe.folder
    kept = [passes * recipe.count // recipe.training.batch for passes in SHIPPED_PASSES if recipe.spectra]
    names = [CARD, FILE, *(f"{_rung(folder, step).name}/{name}" for step in kept for name in (CARD, WEIGHTS))]
    for name in names:
        with whole(to / name) as temporary:
            shutil.copyfile(folder / name, temporary)
    return recipe.read(to)


def rungs(steps: int, first: int = FIRST) -> tuple[int, ...]:
    """Two numbers of steps for each doubling, from `first` to the largest that is not above `steps`.

    Example:
        >>> rungs(300)
        (64, 91, 128, 181, 256)
    """
    found: list[int] = []
    while (step := round(first * 2 ** (len(found) / 2))) <= steps:
        found.append(step)
    return tuple(found)


def halved(images: Float[Tensor, "N C H W"]) -> Float[Tensor, "N C h w"]:
    """Images of half the height and width, each pixel the mean of four."""
    return avg_pool2d(images, 2)


def training_images(count: int, seed: int) -> Float[Tensor, "N 3 16 16"]:
    """The automobiles of one run: `count` of the 512 that belong to `seed`, in [-1, 1].

    Raises:
        ValueError: more images than a seed has, or a seed beyond the last image.
    """
    start, images = SIZES[-1] * seed, cifar10.load("train")[0]
    if not 1 <= count <= SIZES[-1] or not 0 <= start <= len(images) - SIZES[-1]:
        raise ValueError(
            f"a run takes 1 to {SIZES[-1]} images and a seed from 0 to {len(images) // SIZES[-1] - 1}, "
            f"got {count} and {seed}"
        )
    return halved(images[start : start + count])


def held_out_images() -> Float[Tensor, "N 3 16 16"]:
    """The automobiles of the test split, which no run sees."""
    return halved(cifar10.load("test")[0])


def _rung(folder: Path, step: int) -> Path:
    return folder / f"step-{step:06d}"


def _network() -> UNet:
    # In this layout these convolutions are a tenth faster.
    return UNet(CONFIG).to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _draw(count: int, seed: int) -> Draw:
    return with_replacement(training_images(count, seed))


def _data(count: int, seed: int) -> dict[str, Any]:
    sums = read_checksums(data_root() / "cifar10")
    first = SIZES[-1] * seed
    return {
        "set": "CIFAR-10, automobiles of the training split, halved to 16 x 16",
        "sha256": {name: value for name, value in sums.items() if name.startswith("automobile")},
        "images": f"{first} to {first + count - 1}",
    }


def run(count: int, seed: int, passes: int = PASSES) -> LadderRecipe:
    """The recipe of one run: `count` images of `seed`, each seen `passes` times."""
    return LadderRecipe(
        name=f"onset_{count}_{seed}",
        about=f"CIFAR-10 at 16 x 16: a ladder of networks on {count} automobiles, seed {seed}, unconditional",
        count=count,
        network=_network,
        draw=partial(_draw, count, seed),
        data=partial(_data, count, seed),
        training=LadderConfig(steps=count * passes // BATCH, batch=BATCH, learning_rate=1e-3, seed=seed),
        dtype=torch.float16,
        spectra=seed == SEEDS[0],
        ships=False,
    )


ONSET = tuple(run(count, seed) for seed in SEEDS for count in SIZES)
"""All runs, in the order in which they are worth training: every size once, then with other seeds."""
