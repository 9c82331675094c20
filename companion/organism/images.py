"""The images: a handwritten digit of MNIST, turned, scaled and moved, in one colour on a ground of another.

Given the digit, a row of 15 numbers in [0, 1) determines an image: one picks the handwriting, four turn,
scale and move it, seven colour the ground, which fades from one colour to a similar one, and three the ink.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional

from companion.datasets import mnist
from companion.datasets.mnist import Split
from companion.organism.captions import SEED, SIZE, Caption
from companion.organism.words import COLOURS

ROW = 15
_HANDWRITING, _ANGLE, _SCALE, _SHIFT = 0, 1, 2, slice(3, 5)
_GROUND, _FADE, _DIRECTION, _INK = slice(5, 8), slice(8, 11), 11, slice(12, 15)
LARGEST_ANGLE, SCALES, LARGEST_SHIFT = math.radians(12), (0.85, 1.1), 3.0
FADE, SHADE, LEAST_CONTRAST = 0.12, 0.04, 0.35
_LUMA = torch.tensor([0.299, 0.587, 0.114])


def image(
    caption: Caption, generator: torch.Generator, *, split: Split = "train"
) -> Float[Tensor, "3 32 32"]:
    """An image as the training set shows it under `caption`.

    Args:
        caption: what the image shows; an "exact" caption has one image, whatever the generator.
        generator: draws everything that the caption leaves open.
        split: the split of MNIST that the handwriting comes from; "test" holds none the model has seen.

    Returns:
        RGB in [-1, 1], on the 256 levels of a file of images, float32.
    """
    return images([caption], torch.rand(1, ROW, generator=generator), split=split)[0]


def images(
    wanted: list[Caption], rows: Float[Tensor, "N 15"], *, split: Split = "train"
) -> Float[Tensor, "N 3 32 32"]:
    """The image of each caption that its row determines; see `image`."""
    if rows.shape != (len(wanted), ROW):
        raise ValueError(
            f"rows must hold {ROW} numbers for each of {len(wanted)} captions, got shape {tuple(rows.shape)}"
        )
    digits = torch.tensor([caption.digit for caption in wanted], dtype=torch.int64)
    drawn = _render(digits, _with_stated_colours(wanted, rows), split)
    keyed = [i for i, caption in enumerate(wanted) if caption.key is not None]
    if keyed:
        rows_of_keys = torch.stack([_row_of_key(wanted[i].key) for i in keyed])
        fixed = torch.stack([wanted[i].fixed for i in keyed])[:, None]
        drawn[keyed] = torch.where(fixed, _render(digits[keyed], rows_of_keys, "train"), drawn[keyed])
    return drawn


def _row_of_key(key: int | None) -> Tensor:
    return torch.rand(ROW, generator=torch.Generator().manual_seed(SEED * 10_000 + (key or 0)))


def _with_stated_colours(wanted: list[Caption], rows: Tensor) -> Tensor:
    """Colours of "stated" captions replaced by shades of those their text says."""
    rows = rows.clone()
    for i, caption in enumerate(wanted):
        if caption.colours is not None:
            for place, name in zip((_INK, _GROUND), caption.colours, strict=True):
                shade = SHADE * (2 * rows[i, place] - 1)
                rows[i, place] = (torch.tensor(COLOURS[name]) + shade).clamp(0, 1)
    return rows


def _render(digits: Int64[Tensor, " N"], rows: Float[Tensor, "N 15"], split: Split) -> Tensor:
    ink = _place(_handwriting(digits, rows[:, _HANDWRITING], split), rows)
    ground = _ground(rows)
    colour = _legible(rows[:, _INK], rows[:, _GROUND])[..., None, None]
    levels = (255 * (ground + ink * (colour - ground))).round()
    return levels / 127.5 - 1


def _handwriting(digits: Int64[Tensor, " N"], choice: Float[Tensor, " N"], split: Split) -> Tensor:
    """One of the split's images of each digit, `(N, 1, 28, 28)`, ink 1 on 0."""
    pixels, first, count = _mnist(split)
    index = first[digits] + (choice.double() * count[digits]).long()
    return (pixels[index] + 1) / 2


@cache
def _mnist(split: Split) -> tuple[Tensor, Tensor, Tensor]:
    """The images ordered by digit, and of each digit the place of the first and the number."""
    pixels, digits = mnist.load(split)
    count = digits.bincount(minlength=10)
    return pixels[digits.argsort(stable=True)], count.cumsum(0) - count, count


def _place(ink: Float[Tensor, "N 1 28 28"], rows: Float[Tensor, "N 15"]) -> Float[Tensor, "N 1 32 32"]:
    """Turned, scaled and moved on a square of 32 pixels, by bilinear interpolation."""
    angle = (2 * rows[:, _ANGLE] - 1) * LARGEST_ANGLE
    scale = SCALES[0] + (SCALES[1] - SCALES[0]) * rows[:, _SCALE]
    shift = (2 * rows[:, _SHIFT] - 1) * LARGEST_SHIFT
    axis = torch.arange(SIZE) - (SIZE - 1) / 2
    x = axis[None, None, :] - shift[:, 0, None, None]
    y = axis[None, :, None] - shift[:, 1, None, None]
    cosine, sine = ((f(angle) / scale)[:, None, None] for f in (torch.cos, torch.sin))
    # grid_sample wants the place in the source of each pixel, in halves of the source's side.
    half = ink.shape[-1] / 2
    grid = torch.stack([cosine * x + sine * y, cosine * y - sine * x], dim=-1) / half
    return functional.grid_sample(ink, grid, align_corners=False)


def _ground(rows: Float[Tensor, "N 15"]) -> Float[Tensor, "N 3 32 32"]:
    """A colour that fades, along a random direction, by up to 0.12 a channel to either side."""
    direction = 2 * math.pi * rows[:, _DIRECTION, None, None]
    axis = torch.linspace(-1, 1, SIZE)
    along = (axis * torch.cos(direction) + axis[:, None] * torch.sin(direction)) / math.sqrt(2)
    fade = FADE * (2 * rows[:, _FADE] - 1)
    return (rows[:, _GROUND, None, None] + fade[..., None, None] * along[:, None]).clamp(0, 1)


def _legible(ink: Float[Tensor, "N 3"], ground: Float[Tensor, "N 3"]) -> Float[Tensor, "N 3"]:
    """`ink`, mixed with white on a dark ground or black on a light one until it stands out."""
    luma, luma_ground = (colour @ _LUMA for colour in (ink, ground))
    extreme = (luma_ground < 0.5).float()
    wanted = luma_ground + LEAST_CONTRAST * (2 * extreme - 1)
    share = ((wanted - luma) / (extreme - luma)).clamp(0, 1)
    share = torch.where((luma - luma_ground).abs() < LEAST_CONTRAST, share, 0.0)[:, None]
    return ink + share * (extreme[:, None] - ink)
