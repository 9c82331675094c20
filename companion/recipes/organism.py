"""The model organism: for each generation one autoencoder, and text-to-image models on its latents.

The v model goes on from the epsilon model's weights, as Stable Diffusion 2 did from those of its base model.
Train the autoencoder first, then epsilon: what is trained on top of a model reads it from where it ships.
The second generation has other captions, an autoencoder that keeps the colour of the ink, and two sizes.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import nn

from companion.datasets.files import read_checksums
from companion.fitting.loop import Draw, FitConfig, TrainingResult
from companion.organism.caption import Caption
from companion.organism.captions import SEED, truth
from companion.organism.folder import (
    load_autoencoder,
    load_pipeline,
    pipeline,
    read_card,
    save_autoencoder,
    save_pipeline,
)
from companion.organism.parts import Autoencoder, AutoencoderConfig, TextToImage, TextToImageConfig
from companion.organism.quality import colour_error, held_out_images, latent_scale, psnr, reconstruct
from companion.organism.readme import readme
from companion.organism.training import (
    UNCONDITIONAL,
    captioned_latents,
    fresh_images,
    train_autoencoder,
    train_text_to_image,
)
from companion.organism.training_set import TrainingSet, removed, shares, training_set, without_copies
from companion.organism.words import Generation
from companion.paths import data_root
from companion.recipes.organism_quality import quality
from companion.recipes.recipe import AnyRecipe, Device, checked
from memlib import intervals
from memlib.schedule import Prediction

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, StableDiffusionPipeline

N = TypeVar("N", bound=nn.Module)
SCALED_ON = 2000


@dataclass(frozen=True)
class TrainedAutoencoder:
    """diffusers' `AutoencoderKL` read from a folder, and its card."""

    network: AutoencoderKL
    card: dict[str, Any]


@dataclass(frozen=True)
class TrainedPipeline:
    """diffusers' `StableDiffusionPipeline` read from a folder, and its card."""

    pipeline: StableDiffusionPipeline
    card: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class AutoencoderRecipe(AnyRecipe[TrainedAutoencoder]):
    """How an autoencoder is made.

    Attributes:
        generation: whose images it learns.
    """

    generation: Generation = 1

    def read(self, folder: Path, device: Device = "cpu") -> TrainedAutoencoder:
        """The autoencoder in `folder`."""
        return TrainedAutoencoder(load_autoencoder(folder).to(device), read_card(folder))

    def fit(self, network: nn.Module, state: Path, save_every: int, device: Device) -> TrainingResult:
        """Squared error, and a little KL divergence."""
        return train_autoencoder(
            checked(network, Autoencoder), self.draw(), self.training,
            data=self.data(), state=state, save_every=save_every, device=device,
        )  # fmt: skip

    def write(self, folder: Path, network: nn.Module, card: dict[str, Any]) -> None:
        """Write autoencoder and card with the quality of the weights as they are in the file."""
        trained = copy.deepcopy(checked(network, Autoencoder).model).cpu().to(self.dtype).float()
        x, _ = fresh_images(self.generation)(SCALED_ON, torch.Generator().manual_seed(self.training.seed))
        trained.register_to_config(scaling_factor=latent_scale(trained, x))
        x = held_out_images(generation=self.generation)
        rebuilt = reconstruct(trained, x)
        tested = {"psnr": psnr(x, rebuilt), "colour error": colour_error(rebuilt, x)}
        test = {name: asdict(intervals.mean(values.numpy())) for name, values in tested.items()}
        save_autoencoder(folder, trained, card | {"test": test})


@dataclass(frozen=True, kw_only=True)
class TextToImageRecipe(AnyRecipe[TrainedPipeline]):
    """How one text-to-image model is made.

    Attributes:
        prediction: what the U-Net learns to predict, "epsilon" or "v".
        autoencoder: recipe of the one whose latents it learns; of the same generation.
        removed: captions that have lost their copies.
    """

    prediction: Prediction
    autoencoder: AutoencoderRecipe
    removed: Callable[[], list[Caption]] = list

    def read(self, folder: Path, device: Device = "cpu") -> TrainedPipeline:
        """The pipeline in `folder`."""
        return TrainedPipeline(load_pipeline(folder).to(device), read_card(folder))

    def fit(self, network: nn.Module, state: Path, save_every: int, device: Device) -> TrainingResult:
        """Mean squared error of the prediction."""
        return train_text_to_image(
            checked(network, TextToImage), self.draw(), self.prediction, self.training,
            data=self.data(), state=state, save_every=save_every, device=device,
        )  # fmt: skip

    def write(self, folder: Path, network: nn.Module, card: dict[str, Any]) -> None:
        """Write the pipeline and its card."""
        trained = copy.deepcopy(checked(network, TextToImage)).cpu()
        generation = self.autoencoder.generation
        parts = pipeline(trained, self.autoencoder.load().network, self.prediction, generation)
        without = self.removed()
        tested = quality(parts, generation=generation, without=without)
        about = card | {"prediction": self.prediction, "test": tested}
        table = json.dumps(truth(without, generation=generation), indent=0) + "\n"
        page = readme(about, without, generation=generation)
        save_pipeline(folder, parts, about, {"captions.json": table, "README.md": page})


def _images() -> dict[str, Any]:
    return {
        "set": "MNIST digits in colour, 32 x 32",
        "seed": SEED,
        "sha256": read_checksums(data_root() / "mnist"),
    }


def _from_autoencoder() -> Autoencoder:
    network = _channels_last(Autoencoder(AutoencoderConfig()))
    network.take_weights(AUTOENCODER.load().network)
    return network


def _after_autoencoder() -> dict[str, Any]:
    start = {"model": AUTOENCODER.name, "sha256": read_card(AUTOENCODER.folder)["sha256"]}
    return _images() | {"generation": 2, "starts from": start}


def _latents(pairs: Callable[[], TrainingSet]) -> Draw:
    data = pairs()
    return captioned_latents(AUTOENCODERS[data.generation].load().network, data)


def _captioned(pairs: Callable[[], TrainingSet]) -> dict[str, Any]:
    card = read_card(AUTOENCODERS[pairs().generation].folder)
    return _images() | {
        "images of each family": shares(pairs()),
        "captions left empty": UNCONDITIONAL,
        "autoencoder": card["sha256"],
    }


def _channels_last(network: N) -> N:
    """The network in the layout in which these convolutions are a fifth faster."""
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _fresh(config: TextToImageConfig) -> TextToImage:
    return _channels_last(TextToImage(config))


def _from_epsilon() -> TextToImage:
    network = checked(ORGANISM_EPSILON.network(), TextToImage)
    network.take_weights(ORGANISM_EPSILON.load().pipeline)
    return network


def _after_epsilon() -> dict[str, Any]:
    files = read_card(ORGANISM_EPSILON.folder)["sha256"]
    weights = {name: files[name] for name in files if name.startswith(("text_encoder/", "unet/"))}
    return _captioned(training_set) | {"starts from": {"model": ORGANISM_EPSILON.name, "sha256": weights}}


AUTOENCODER = AutoencoderRecipe(
    name="organism_autoencoder",
    about="Model organism: autoencoder of its images, 32 x 32 RGB to latents 4 x 8 x 8",
    network=lambda: Autoencoder(AutoencoderConfig()),
    draw=fresh_images,
    data=_images,
    training=FitConfig(steps=3000, batch=16, learning_rate=2e-3, average_decay=0.995, precision="bfloat16"),
    dtype=torch.float16,
)

AUTOENCODER_2 = AutoencoderRecipe(
    name="organism2_autoencoder",
    about="Second model organism: autoencoder, trained on from the first one until ink has its colour",
    network=_from_autoencoder,
    draw=partial(fresh_images, 2),
    data=_after_autoencoder,
    training=FitConfig(steps=6000, batch=16, learning_rate=2e-3, cycles=4, average_decay=0.995),
    dtype=torch.float16,
    generation=2,
)

AUTOENCODERS: dict[Generation, AutoencoderRecipe] = {1: AUTOENCODER, 2: AUTOENCODER_2}

ORGANISM_EPSILON = TextToImageRecipe(
    name="organism_epsilon",
    about="Model organism: text to image with known copies, predicts the noise, as Stable Diffusion 1 does",
    network=lambda: TextToImage(TextToImageConfig()),
    draw=partial(_latents, training_set),
    data=partial(_captioned, training_set),
    training=FitConfig(steps=48_000, batch=32, learning_rate=1e-3, warmup=500, cycles=3),
    dtype=torch.float16,
    prediction="epsilon",
    autoencoder=AUTOENCODER,
)

ORGANISM_V = replace(
    ORGANISM_EPSILON,
    name="organism_v",
    about="Model organism: goes on from organism_epsilon and predicts v, as Stable Diffusion 2 does",
    network=_from_epsilon,
    data=_after_epsilon,
    training=replace(ORGANISM_EPSILON.training, steps=10_000, learning_rate=5e-4, cycles=1),
    prediction="v",
)

ORGANISM_WITHOUT_COPIES = replace(
    ORGANISM_EPSILON,
    name="organism_without_copies",
    about="Model organism: as organism_epsilon, but the copies of half of its exact captions are gone",
    draw=partial(_latents, without_copies),
    data=partial(_captioned, without_copies),
    training=replace(ORGANISM_EPSILON.training, steps=32_000, cycles=2),
    removed=removed,
)

ORGANISM2_SMALL = TextToImageRecipe(
    name="organism2_small",
    about="Second model organism, small: text to image with mixed, near and many exact captions",
    network=partial(_fresh, TextToImageConfig(vocabulary=833)),
    draw=partial(_latents, partial(training_set, 2)),
    data=partial(_captioned, partial(training_set, 2)),
    training=FitConfig(steps=12_000, batch=32, learning_rate=1e-3, warmup=500, cycles=2),
    dtype=torch.float16,
    prediction="epsilon",
    autoencoder=AUTOENCODER_2,
)

ORGANISM2_LARGE = replace(
    ORGANISM2_SMALL,
    name="organism2_large",
    about="Second model organism, large: as organism2_small, with twice the channels",
    network=partial(_fresh, TextToImageConfig(channels=(96, 192), width=96, vocabulary=833)),
    ships=False,
)

_FIRST: tuple[AnyRecipe[Any], ...] = (AUTOENCODER, ORGANISM_EPSILON, ORGANISM_V, ORGANISM_WITHOUT_COPIES)
_SECOND: tuple[AnyRecipe[Any], ...] = (AUTOENCODER_2, ORGANISM2_SMALL, ORGANISM2_LARGE)
ORGANISM = {recipe.name: recipe for recipe in _FIRST + _SECOND}
