"""Samples of a trained pipeline, and which of them are copies of training images."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional

from companion.organism.captions import Caption
from companion.organism.training_set import TrainingSet, training_set
from memlib import copies

if TYPE_CHECKING:
    from diffusers import StableDiffusionPipeline

CHUNK = 50


@dataclass(frozen=True)
class Known:
    """The different images of a training set, at half the side: copies are found by colours and strokes.

    Attributes:
        pixels: the images; of several copies one is kept.
        caption: the caption of each image, as an index into `captions`.
        captions: the captions of the training set.
    """

    pixels: Float[Tensor, "U 3 16 16"]
    caption: Int64[Tensor, " U"]
    captions: list[Caption]


def known(data: TrainingSet) -> Known:
    """The different images of a training set."""
    exact = torch.tensor([caption.family == "exact" for caption in data.captions])[data.caption]
    first = data.caption != functional.pad(data.caption[:-1], (1, 0), value=-1)  # entries lie by caption
    kept = (~exact | first).nonzero().flatten()
    pixels = torch.cat([_halved(data.images(index)) for index in kept.split(1000)])
    return Known(pixels, data.caption[kept], data.captions)


@cache
def all_known() -> Known:
    """The different ones of the 60,000 training images; takes about a minute once."""
    return known(training_set())


def sample(
    pipeline: StableDiffusionPipeline,
    wanted: list[Caption],
    seed: int = 0,
    *,
    steps: int = 50,
    guidance: float = 7.5,
) -> Float[Tensor, "N 3 32 32"]:
    """One image a caption by DDIM with guidance, RGB in [-1, 1], on the CPU.

    Args:
        pipeline: a trained one.
        wanted: captions, repeated for several images of one.
        seed: the seed of the initial noise.
        steps: the number of steps of DDIM.
        guidance: scale of classifier-free guidance.
    """
    generator = torch.Generator().manual_seed(seed)
    parts = [
        pipeline(
            [caption.text for caption in wanted[start : start + CHUNK]],
            num_inference_steps=steps,
            guidance_scale=guidance,
            generator=generator,
            output_type="pt",
        ).images.cpu()
        for start in range(0, len(wanted), CHUNK)
    ]
    return torch.cat(parts).float() * 2 - 1


def copied(
    samples: Float[Tensor, "N 3 32 32"], among: Known, *, ratio: float = copies.RATIO
) -> Bool[Tensor, " N"]:
    """Which samples lie nearer to one training image than `ratio` times to any other (`memlib.copies`)."""
    return copies.is_copy(copies.nearest(_halved(samples), among.pixels), ratio=ratio)


def recalled(samples: Float[Tensor, "N 3 32 32"], wanted: list[Caption], among: Known) -> Bool[Tensor, " N"]:
    """Which samples have, of all training images, one of their own caption as the nearest.

    For an "exact" caption this is one image of some 48,000; no threshold enters.
    """
    nearest = copies.nearest(_halved(samples), among.pixels).index
    owners = [among.captions[c] for c in among.caption[nearest].tolist()]
    return torch.tensor([owner == caption for owner, caption in zip(owners, wanted, strict=True)])


def _halved(x: Float[Tensor, "N 3 32 32"]) -> Float[Tensor, "N 3 16 16"]:
    return functional.avg_pool2d(x, 2)
