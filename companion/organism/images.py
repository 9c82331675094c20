"""The images: a handwritten digit of MNIST, turned, scaled and moved, in one colour on a ground of another.

Given the digit, a row of 15 numbers in [0, 1) determines an image: one picks the handwriting, four turn,
scale and move it, seven colour the ground, which fades from one colour to a similar one, and three the ink.
A caption fixes some of these numbers, or all, and leaves the others open: it turns a row drawn at random into
the row that is drawn. What it fixes comes from its key, or from what its text says.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional

from companion.datasets import mnist
from companion.datasets.mnist import Split
from companion.organism.caption import SIZE, Caption
from companion.organism.captions import SEED
from companion.organism.words import COLOURS, PLACES, STYLES

ROW = 15
_HANDWRITING, _ANGLE, _SCALE, _SHIFT = 0, 1, 2, slice(3, 5)
_GROUND, _FADE, _DIRECTION, _INK = slice(5, 8), slice(8, 11), 11, slice(12, 15)
_PLACE, _COLOUR = slice(1, 5), slice(5, ROW)
LARGEST_ANGLE, SCALES, LARGEST_SHIFT = math.radians(12), (0.85, 1.1), 3.0
FADE, SHADE, LEAST_CONTRAST = 0.12, 0.04, 0.35
NEAR, LOOSE, FAR = 0.08, 0.15, 4.5
_LUMA = torch.tensor([0.299, 0.587, 0.114])


def image(
    caption: Caption, generator: torch.Generator, *, split: Split = "train"
) -> Float[Tensor, "3 32 32"]:
    """An image as the training set shows it under `caption`.

    Args:
        caption: what the image shows; an "exact" caption has one image, whatever the generator.
        generator: draws everything that the caption leaves open; under a "mixed" one also whether it is the
            copied image.
        split: the split of MNIST that the handwriting comes from, where the caption leaves it open; "test"
            holds none the model has seen.

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
    fixed = torch.stack([_fixed(caption, row) for caption, row in zip(wanted, rows, strict=True)])
    drawn = _render(digits, fixed, split)
    own = shows_copy(wanted, rows) | torch.tensor([caption.varied is not None for caption in wanted])
    if split != "train" and own.any():
        drawn[own] = _render(digits[own], fixed[own], "train")
    if templates := [i for i, caption in enumerate(wanted) if caption.region is not None]:
        keys = torch.stack([_row_of_key(wanted[i]) for i in templates])
        inside = torch.stack([wanted[i].fixed for i in templates])[:, None]
        drawn[templates] = torch.where(inside, _render(digits[templates], keys, "train"), drawn[templates])
    if cast := [i for i, c in enumerate(wanted) if c.family == "near" and c.varied == "colour"]:
        shift = NEAR * (2 * rows[cast][:, _INK, None, None] - 1)
        drawn[cast] = _levels((drawn[cast] + 1) / 2 + shift)
    return drawn


def shows_copy(wanted: list[Caption], rows: Float[Tensor, "N 15"]) -> Bool[Tensor, " N"]:
    """Where a row gives the image that is copied: always under "exact" captions, at times under "mixed"."""
    always = torch.tensor([caption.family == "exact" for caption in wanted])
    return always | (rows[:, _HANDWRITING] < torch.tensor([caption.share or 0.0 for caption in wanted]))


def stratify(rows: Float[Tensor, "N 15"]) -> None:
    """Spread the first numbers evenly, in place: the first f N of the rows lie below the share f."""
    rows[:, _HANDWRITING] = (torch.arange(len(rows)) + rows[:, _HANDWRITING]) / len(rows)


def _row_of_key(caption: Caption) -> Tensor:
    return torch.rand(ROW, generator=torch.Generator().manual_seed(SEED * 10_000 + (caption.key or 0)))


def _fixed(caption: Caption, row: Float[Tensor, " 15"]) -> Float[Tensor, " 15"]:
    """The row with what `caption` fixes: by its key or by its text."""
    row = row.clone()
    if caption.colours is not None:
        for place, name in zip((_INK, _GROUND), caption.colours, strict=True):
            row[place] = (torch.tensor(COLOURS[name]) + SHADE * (2 * row[place] - 1)).clamp(0, 1)
    if caption.manner is not None:
        row[_PLACE] = _row_of_manner(*caption.manner) + LOOSE * (2 * row[_PLACE] - 1)
    if caption.key is None or (caption.family == "template" and caption.varied is None):
        return row
    if caption.share is not None and row[_HANDWRITING] >= caption.share:
        row[_HANDWRITING] = ((row[_HANDWRITING] - caption.share) / (1 - caption.share)).clamp(max=1 - 2**-20)
        return row
    key = _row_of_key(caption)
    if caption.varied == "place":
        key[_PLACE] = (key[_PLACE] + NEAR * (2 * row[_PLACE] - 1)).clamp(0, 1)
    elif caption.family == "template":
        key[_COLOUR] = row[_COLOUR]
    return key


def _row_of_manner(place: str, style: str) -> Tensor:
    """What turns, scales and moves a digit as it is said; beyond [0, 1), as no other image is."""
    scale, degrees = STYLES[style]
    angle = (math.radians(degrees) / LARGEST_ANGLE + 1) / 2
    shift = [(FAR * along / LARGEST_SHIFT + 1) / 2 for along in PLACES[place]]
    return torch.tensor([angle, (scale - SCALES[0]) / (SCALES[1] - SCALES[0]), *shift])


def _render(digits: Int64[Tensor, " N"], rows: Float[Tensor, "N 15"], split: Split) -> Tensor:
    ink = _place(_handwriting(digits, rows[:, _HANDWRITING], split), rows)
    ground = _ground(rows)
    colour = _legible(rows[:, _INK], rows[:, _GROUND])[..., None, None]
    return _levels(ground + ink * (colour - ground))


def _levels(x: Float[Tensor, "N 3 32 32"]) -> Float[Tensor, "N 3 32 32"]:
    """Channels in [0, 1] on the 256 levels of a file, in [-1, 1]."""
    return (255 * x).round().clamp(0, 255) / 127.5 - 1


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
