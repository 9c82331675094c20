"""A word for the colour of a part of a photograph, from its mean."""

from __future__ import annotations

import colorsys
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Colour = Literal["black", "grey", "white", "red", "brown", "yellow", "green", "blue", "purple"]

COLOURS: tuple[Colour, ...] = ("black", "grey", "white", "red", "brown", "yellow", "green", "blue", "purple")
GREY, DARK, LIGHT = 0.15, 0.3, 0.75
"""Saturation below which a colour is a grey, and the values below or above which a grey is black or white."""


def colour(red: float, green: float, blue: float) -> Colour:
    """The word for a colour given in [0, 1], by its hue unless it is a grey.

    Example:
        >>> colour(0.8, 0.1, 0.1), colour(0.4, 0.38, 0.4), colour(0.45, 0.35, 0.2)
        ('red', 'grey', 'brown')
    """
    hue, saturation, value = colorsys.rgb_to_hsv(red, green, blue)
    if saturation < GREY:
        return "black" if value < DARK else "white" if value > LIGHT else "grey"
    degrees = 360 * hue
    if degrees < 20 or degrees >= 330:
        return "red"
    if degrees < 70:
        return "brown" if degrees < 50 and value < LIGHT else "yellow"
    return "green" if degrees < 170 else "blue" if degrees < 260 else "purple"


def colours(images: Float[Tensor, "N 3 32 32"]) -> list[tuple[Colour, Colour]]:
    """The colours of the middle (16 x 16 pixels) and of the border (4 pixels wide) of images in [-1, 1]."""
    parts = [((images + 1) / 2)[:, :, part].mean(2).tolist() for part in (_middle(), _border())]
    return [(colour(*middle), colour(*border)) for middle, border in zip(*parts, strict=True)]


def _middle() -> Bool[Tensor, "32 32"]:
    mask = torch.zeros(32, 32, dtype=torch.bool)
    mask[8:-8, 8:-8] = True
    return mask


def _border() -> Bool[Tensor, "32 32"]:
    mask = torch.ones(32, 32, dtype=torch.bool)
    mask[4:-4, 4:-4] = False
    return mask
