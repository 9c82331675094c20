"""The model organism: one autoencoder, and on its latents an epsilon and a v model that share their data.

The v model goes on from the epsilon model's weights, as Stable Diffusion 2 did from those of its base model.
Train the autoencoder first, then epsilon: what is trained on top of a model reads it from where it ships.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from companion.datasets.files import read_checksums
from companion.fitting.classifier import classify
from companion.fitting.loop import Draw, FitConfig, TrainingResult
from companion.organism.captions import EXACT_DOSES, SEED, Caption, captions, truth
from companion.organism.folder import (
    load_autoencoder,
    load_pipeline,
    pipeline,
    read_card,
    save_autoencoder,
    save_pipeline,
)
from companion.organism.parts import Autoencoder, AutoencoderConfig, TextToImage, TextToImageConfig
from companion.organism.quality import as_mnist, held_out_images, latent_scale, psnr, reconstruct
from companion.organism.readme import readme
from companion.organism.samples import all_known, copied, recalled, sample
from companion.organism.training import (
    UNCONDITIONAL,
    captioned_latents,
    fresh_images,
    train_autoencoder,
    train_text_to_image,
)
from companion.organism.training_set import TrainingSet, removed, shares, training_set, without_copies
from companion.paths import data_root
from companion.recipes.classifier import DIGIT_CLASSIFIER
from companion.recipes.recipe import AnyRecipe, Device
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
    """How the autoencoder is made."""

    def read(self, folder: Path, device: Device = "cpu") -> TrainedAutoencoder:
        """The autoencoder in `folder`."""
        return TrainedAutoencoder(load_autoencoder(folder).to(device), read_card(folder))

    def fit(self, network: nn.Module, state: Path, save_every: int, device: Device) -> TrainingResult:
        """Squared error, and a little KL divergence."""
        return train_autoencoder(
            _checked(network, Autoencoder), self.draw(), self.training,
            state=state, save_every=save_every, device=device,
        )  # fmt: skip

    def write(self, folder: Path, network: nn.Module, card: dict[str, Any]) -> None:
        """Write autoencoder and card with the quality of the weights as they are in the file."""
        trained = copy.deepcopy(_checked(network, Autoencoder).model).cpu().to(self.dtype).float()
        x, _ = fresh_images()(SCALED_ON, torch.Generator().manual_seed(self.training.seed))
        trained.register_to_config(scaling_factor=latent_scale(trained, x))
        x = held_out_images()
        quality = asdict(intervals.mean(psnr(x, reconstruct(trained, x)).numpy()))
        save_autoencoder(folder, trained, card | {"test": {"psnr": quality}})


@dataclass(frozen=True, kw_only=True)
class TextToImageRecipe(AnyRecipe[TrainedPipeline]):
    """How one text-to-image model is made.

    Attributes:
        prediction: what the U-Net learns to predict, "epsilon" or "v".
        autoencoder: recipe of the one whose latents it learns.
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
            _checked(network, TextToImage), self.draw(), self.prediction, self.training,
            data=self.data(), state=state, save_every=save_every, device=device,
        )  # fmt: skip

    def write(self, folder: Path, network: nn.Module, card: dict[str, Any]) -> None:
        """Write the pipeline and its card."""
        trained = copy.deepcopy(_checked(network, TextToImage)).cpu()
        parts = pipeline(trained, self.autoencoder.load().network, self.prediction)
        without = self.removed()
        about = card | {"prediction": self.prediction, "test": quality(parts, without=without)}
        table = json.dumps(truth(without), indent=0) + "\n"
        save_pipeline(folder, parts, about, {"captions.json": table, "README.md": readme(about, without)})


def quality(
    parts: StableDiffusionPipeline, *, without: Sequence[Caption] = (), seeds: int = 8, steps: int = 50
) -> dict[str, Any]:
    """What a model is held to, each a share with its interval.

    "digit": samples of held-out general captions in which a classifier of MNIST reads the caption's digit;
    "copies": those of them that are copies of a training image; "recalled": samples of exact captions, by
    dose, that are nearest to their own image; "captions": those captions themselves whose image most seeds
    return, which a model learns one by one, all or nothing. Those that have lost their copies are left out.
    """
    parts.set_progress_bar_config(disable=True)
    unseen, among = captions("general", held_out=True), all_known()
    x = sample(parts, unseen, steps=steps)
    read = classify(DIGIT_CLASSIFIER.load().network, as_mnist(x))
    found: dict[str, Any] = {
        "digit": _share(read == torch.tensor([caption.digit for caption in unseen])),
        "copies": _share(copied(x, among)),
    }
    for dose in EXACT_DOSES:
        copied_here = [c for c in captions("exact") if c.dose == dose and c not in without]
        wanted = [caption for caption in copied_here for _ in range(seeds)]
        right = recalled(sample(parts, wanted, seed=dose, steps=steps), wanted, among)
        found[f"recalled, {dose} copies"] = _share(right)
        found[f"captions, {dose} copies"] = _share(right.unflatten(0, (-1, seeds)).double().mean(1) > 0.5)
    return found


def _share(true: Tensor) -> dict[str, Any]:
    return asdict(intervals.proportion(true))


def _checked(network: nn.Module, kind: type[N]) -> N:
    if not isinstance(network, kind):
        raise ValueError(f"this recipe trains a {kind.__name__}, got {type(network).__name__}")
    return network


def _images() -> dict[str, Any]:
    return {
        "set": "MNIST digits in colour, 32 x 32",
        "seed": SEED,
        "sha256": read_checksums(data_root() / "mnist"),
    }


def _latents(pairs: Callable[[], TrainingSet]) -> Draw:
    return captioned_latents(AUTOENCODER.load().network, pairs())


def _captioned(pairs: Callable[[], TrainingSet]) -> dict[str, Any]:
    card = read_card(AUTOENCODER.folder)
    return _images() | {
        "images of each family": shares(pairs()),
        "captions left empty": UNCONDITIONAL,
        "autoencoder": card["sha256"],
    }


def _from_epsilon() -> TextToImage:
    network = _checked(ORGANISM_EPSILON.network(), TextToImage)
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

_ALL: tuple[AnyRecipe[Any], ...] = (AUTOENCODER, ORGANISM_EPSILON, ORGANISM_V, ORGANISM_WITHOUT_COPIES)
ORGANISM = {recipe.name: recipe for recipe in _ALL}
