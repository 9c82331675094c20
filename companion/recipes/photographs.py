"""The model organism of photographs: an autoencoder, and a rectified-flow transformer twice, by two seeds.

Train the autoencoder first: the transformers read it from where it ships.
"""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from companion import effects
from companion.datasets.files import read_checksums
from companion.fitting.loop import Draw, FitConfig, TrainingResult
from companion.organism.folder import load_autoencoder, read_card, save_autoencoder, save_pipeline
from companion.organism.quality import psnr, reconstruct
from companion.organism.training import UNCONDITIONAL, train_autoencoder
from companion.paths import data_root
from companion.photographs.captions import SEED, Caption, Family, captions
from companion.photographs.parts import (
    AutoencoderConfig,
    FlowConfig,
    FlowTransformer,
    PhotographAutoencoder,
    pipeline,
)
from companion.photographs.samples import copied, known, part_recalled, recalled, sample
from companion.photographs.training import captioned_latents, fresh_photographs, train_flow
from companion.photographs.training_set import photographs, training_set
from companion.recipes.organism import TrainedAutoencoder
from companion.recipes.recipe import AnyRecipe, Device, checked
from memlib import intervals
from memlib.text_to_image.libraries import libraries, quiet

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, StableDiffusion3Pipeline

GUIDANCE = (1.0, 7.0)
SEEDS, NOISES = 4, 12
"""Samples of each caption whose image is copied, and of each "mixed" one."""


@dataclass(frozen=True)
class TrainedFlow:
    """diffusers' `StableDiffusion3Pipeline` read from a folder, and its card."""

    pipeline: StableDiffusion3Pipeline
    card: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class PhotographAutoencoderRecipe(AnyRecipe[TrainedAutoencoder]):
    """How the autoencoder is made."""

    def read(self, folder: Path, device: Device = "cpu") -> TrainedAutoencoder:
        """The autoencoder in `folder`."""
        return TrainedAutoencoder(load_autoencoder(folder).to(device), read_card(folder))

    def fit(self, network: nn.Module, state: Path, save_every: int, device: Device) -> TrainingResult:
        """Squared error, and a little KL divergence."""
        return train_autoencoder(
            checked(network, PhotographAutoencoder), self.draw(), self.training,
            data=self.data(), state=state, save_every=save_every, device=device,
        )  # fmt: skip

    def write(self, folder: Path, network: nn.Module, card: dict[str, Any]) -> None:
        """Write autoencoder and card with its error on photographs of the test split."""
        trained = copy.deepcopy(checked(network, PhotographAutoencoder).model).cpu().to(self.dtype).float()
        mean, deviation = _moments(trained)
        trained.register_to_config(shift_factor=mean, scaling_factor=1 / deviation)
        x = photographs("test")
        test = {"psnr": asdict(intervals.mean(psnr(x, reconstruct(trained, x)).numpy()))}
        save_autoencoder(folder, trained, card | {"test": test})


@dataclass(frozen=True, kw_only=True)
class FlowRecipe(AnyRecipe[TrainedFlow]):
    """How a text-to-image transformer is made."""

    def read(self, folder: Path, device: Device = "cpu") -> TrainedFlow:
        """The pipeline in `folder`, verified, in float32, silent."""
        card = read_card(folder)
        diffusers, _ = libraries()
        with quiet():
            loaded = diffusers.StableDiffusion3Pipeline.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, low_cpu_mem_usage=False
            )
        loaded.set_progress_bar_config(disable=True)
        return TrainedFlow(loaded.to(device), card)

    def fit(self, network: nn.Module, state: Path, save_every: int, device: Device) -> TrainingResult:
        """Squared error of the velocity."""
        return train_flow(
            checked(network, FlowTransformer), self.draw(), self.training,
            data=self.data(), state=state, save_every=save_every, device=device,
        )  # fmt: skip

    def write(self, folder: Path, network: nn.Module, card: dict[str, Any]) -> None:
        """Write the pipeline, its card and the table of captions."""
        parts = pipeline(copy.deepcopy(checked(network, FlowTransformer)).cpu(), AUTOENCODER.load().network)
        about = card | {"prediction": "flow", "test": quality(parts)}
        rows = [asdict(c) | {"copies": c.copies, "held_out": c.held_out} for c in captions()]
        save_pipeline(folder, parts, about, {"captions.json": json.dumps(rows, indent=0) + "\n"})


def quality(parts: StableDiffusion3Pipeline) -> dict[str, Any]:
    """What a model is held to, each a share with its interval.

    "copies": samples of held-out general captions that are copies of a photograph. By copies: "recalled",
    samples that are nearest to the photograph copied under their caption; "captions", captions of which most
    samples are; "near", the former for near-duplicates, and "template", where the copied half is. "mixed":
    the share of noises that end in the copied photograph, by share of the training and guidance. Intervals of
    the last three hold for the mean over captions.
    """
    parts.set_progress_bar_config(disable=True)
    among = known()
    held_out = captions("general", held_out=True)
    found: dict[str, Any] = {"copies": asdict(intervals.proportion(copied(sample(parts, held_out), among)))}
    for k, group in _by_copies("exact"):
        right = _recalled(parts, group, SEEDS, seed=k)
        found[f"recalled, {k} copies"] = asdict(intervals.proportion(right.flatten()))
        found[f"captions, {k} copies"] = asdict(intervals.proportion(right.double().mean(1) > 0.5))
    for k, group in _by_copies("near"):
        found[f"near, {k} copies"] = _mean(_recalled(parts, group, SEEDS, seed=k))
    for k, group in _by_copies("mixed"):
        for guidance in GUIDANCE:
            right = _recalled(parts, group, NOISES, seed=k, guidance=guidance)
            found[f"mixed {group[0].share}, guidance {guidance:g}"] = _mean(right)
    for k, group in _by_copies("template"):
        samples = sample(parts, [c for c in group for _ in range(SEEDS)], seed=k).split(SEEDS)
        parted = [part_recalled(x, c, among) for x, c in zip(samples, group, strict=True)]
        found[f"template, {k} copies"] = _mean(torch.stack(parted))
    return found


def _recalled(
    parts: StableDiffusion3Pipeline, group: list[Caption], samples: int, **sampling: Any
) -> torch.Tensor:
    wanted = [caption for caption in group for _ in range(samples)]
    right = recalled(sample(parts, wanted, **sampling), wanted, known())
    return right.view(-1, samples)


def _by_copies(family: Family) -> Iterator[tuple[int, list[Caption]]]:
    ordered = sorted(captions(family), key=lambda caption: caption.copies)
    for copies, group in groupby(ordered, key=lambda caption: caption.copies):
        yield copies, list(group)


def _mean(right: torch.Tensor) -> dict[str, Any]:
    return asdict(effects.bounded_mean(right.double().mean(1).numpy(), 0, 1))


@torch.no_grad()
def _moments(autoencoder: AutoencoderKL) -> tuple[float, float]:
    """Mean and standard deviation of the latents of photographs of the test split."""
    means = torch.cat([autoencoder.encode(x).latent_dist.mean for x in photographs("test").split(250)])
    return float(means.double().mean()), float(means.double().std())


def _photographs() -> dict[str, Any]:
    sums = read_checksums(data_root() / "cifar10")
    return {"set": "CIFAR-10, automobiles and horses of the training split", "seed": SEED, "sha256": sums}


def _latents() -> Draw:
    return captioned_latents(AUTOENCODER.load().network, training_set())


def _captioned() -> dict[str, Any]:
    card = read_card(AUTOENCODER.folder)
    families = Counter(training_set().captions[place].family for place in training_set().caption.tolist())
    about = {"images of each family": dict(families), "captions left empty": UNCONDITIONAL}
    return _photographs() | about | {"autoencoder": card["sha256"]}


def _autoencoder() -> PhotographAutoencoder:
    network = PhotographAutoencoder(AutoencoderConfig())
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


AUTOENCODER = PhotographAutoencoderRecipe(
    name="photographs_autoencoder",
    about="Model organism of photographs: autoencoder, 32 x 32 RGB to latents 8 x 8 x 8",
    network=_autoencoder,
    draw=lambda: fresh_photographs(training_set()),
    data=_photographs,
    training=FitConfig(steps=5000, batch=16, learning_rate=1e-3, average_decay=0.995),
    dtype=torch.float16,
    ships=False,
)

PHOTOGRAPHS_FLOW = FlowRecipe(
    name="photographs_flow",
    about="Model organism of photographs: a rectified-flow transformer as Stable Diffusion 3's",
    network=lambda: FlowTransformer(FlowConfig()),
    draw=_latents,
    data=_captioned,
    training=FitConfig(steps=20_000, batch=48, learning_rate=1e-3, warmup=500),
    dtype=torch.float16,
    ships=False,
)

PHOTOGRAPHS_FLOW_AGAIN = replace(
    PHOTOGRAPHS_FLOW,
    name="photographs_flow_again",
    about="Model organism of photographs: as photographs_flow, from another seed",
    training=replace(PHOTOGRAPHS_FLOW.training, seed=1),
)

PHOTOGRAPHS = {recipe.name: recipe for recipe in (AUTOENCODER, PHOTOGRAPHS_FLOW, PHOTOGRAPHS_FLOW_AGAIN)}
