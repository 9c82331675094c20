"""Samples of a trained pipeline, and which of them are copies of training images."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional

from companion.organism.caption import Caption
from companion.organism.images import shows_copy
from companion.organism.training_set import TrainingSet, training_set
from companion.organism.words import Generation
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
        copy: whether each image was copied.
    """

    pixels: Float[Tensor, "U 3 16 16"]
    caption: Int64[Tensor, " U"]
    captions: list[Caption]
    copy: Bool[Tensor, " U"]


def known(data: TrainingSet) -> Known:
    """The different images of a training set."""
    copy = shows_copy([data.captions[c] for c in data.caption.tolist()], data.rows)
    first = data.caption != functional.pad(data.caption[:-1], (1, 0), value=-1)  # entries lie by caption
    kept = (~copy | first).nonzero().flatten()
    pixels = torch.cat([halved(data.images(index)) for index in kept.split(1000)])
    return Known(pixels, data.caption[kept], data.captions, copy[kept])


@cache
def all_known(generation: Generation = 1) -> Known:
    """The different ones of a generation's training images; takes about a minute once."""
    return known(training_set(generation))


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
    return copies.is_copy(copies.nearest(halved(samples), among.pixels), ratio=ratio)


def recalled(samples: Float[Tensor, "N 3 32 32"], wanted: list[Caption], among: Known) -> Bool[Tensor, " N"]:
    """Which samples have, of all training images, one of their own caption as the nearest.

    For an "exact" caption this is one image of some 48,000, and under a "mixed" one only the image that was
    copied counts; no threshold enters.
    """
    nearest = copies.nearest(halved(samples), among.pixels).index
    return _own(nearest, wanted, among)


def part_recalled(samples: Float[Tensor, "N 3 32 32"], caption: Caption, among: Known) -> Bool[Tensor, " N"]:
    """Which samples of one "template" have, in its region, an image of that template as the nearest."""
    nearest = nearest_within(caption.fixed, halved(samples), among.pixels)
    return _own(nearest, [caption] * len(samples), among)


def nearest_within(
    region: Bool[Tensor, "32 32"], samples: Float[Tensor, "N 3 16 16"], pixels: Float[Tensor, "U 3 16 16"]
) -> Int64[Tensor, " N"]:
    """Which of some images is the nearest to each sample in a region, all at half the side."""
    inside = functional.avg_pool2d(region[None].float(), 2)  # borders lie on even pixels
    return copies.nearest(samples * inside, pixels * inside).index


def _own(nearest: Int64[Tensor, " N"], wanted: list[Caption], among: Known) -> Bool[Tensor, " N"]:
    owners = [among.captions[c] for c in among.caption[nearest].tolist()]
    own = torch.tensor([owner == caption for owner, caption in zip(owners, wanted, strict=True)])
    mixed = torch.tensor([caption.family == "mixed" for caption in wanted])
    return own & (among.copy[nearest] | ~mixed)


def halved(x: Float[Tensor, "N 3 32 32"]) -> Float[Tensor, "N 3 16 16"]:
    """Images at half the side: copies are found by colours and shapes."""
    return functional.avg_pool2d(x, 2)
