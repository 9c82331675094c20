"""Samples of a trained pipeline, and which of them are copies of training images."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from companion.organism.samples import CHUNK, halved, nearest_within
from companion.photographs.captions import Caption
from companion.photographs.training_set import photographs, training_set
from memlib import copies

if TYPE_CHECKING:
    from diffusers import StableDiffusion3Pipeline

STEPS, GUIDANCE = 28, 7.0
"""Those of Stable Diffusion 3's pipeline."""


@dataclass(frozen=True)
class Known:
    """The photographs of a training set, each once, at half the side.

    Attributes:
        pixels: the images.
        photograph: index of each into `photographs("train")`.
        copied: photograph that is copied under a caption, or a half of it.
    """

    pixels: Float[Tensor, "U 3 16 16"]
    photograph: Int64[Tensor, " U"]
    copied: dict[Caption, int]


@cache
def known() -> Known:
    """What the training set shows."""
    data = training_set()
    seen = torch.cat([data.photograph, data.copied()[data.copied() >= 0]]).unique()
    copied = {
        caption: int(number)
        for caption, number in zip(data.captions, data.copied().tolist(), strict=True)
        if number >= 0
    }
    return Known(halved(photographs("train")[seen]), seen, copied)


def sample(
    pipeline: StableDiffusion3Pipeline,
    wanted: list[Caption],
    seed: int = 0,
    *,
    steps: int = STEPS,
    guidance: float = GUIDANCE,
) -> Float[Tensor, "N 3 32 32"]:
    """One image a caption, RGB in [-1, 1], on the CPU.

    Args:
        pipeline: a trained one.
        wanted: captions, repeated for several images of one.
        seed: the seed of the initial noise.
        steps: Euler steps.
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


def recalled(samples: Float[Tensor, "N 3 32 32"], wanted: list[Caption], among: Known) -> Bool[Tensor, " N"]:
    """Which samples have, of all photographs, the one that is copied under their caption as the nearest."""
    nearest = among.photograph[copies.nearest(halved(samples), among.pixels).index]
    return nearest == torch.tensor([among.copied.get(caption, -1) for caption in wanted])


def part_recalled(samples: Float[Tensor, "N 3 32 32"], caption: Caption, among: Known) -> Bool[Tensor, " N"]:
    """Which samples of one "template" have, in its region, its photograph as the nearest."""
    nearest = nearest_within(caption.fixed, halved(samples), among.pixels)
    return among.photograph[nearest] == among.copied[caption]


def copied(samples: Float[Tensor, "N 3 32 32"], among: Known) -> Bool[Tensor, " N"]:
    """Which samples lie much nearer to one photograph than to any other (`memlib.copies`)."""
    return copies.is_copy(copies.nearest(halved(samples), among.pixels))
