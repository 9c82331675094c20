"""Judges of images of digits that need no download, in the places of CLIP and DINOv2."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from companion.comparison.encoders import Clip, Dino
from companion.organism.quality import as_mnist
from companion.organism.words import DIGITS
from companion.recipes.catalogue import RECIPES

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE = 32


class Pixels:
    """Images as their own pixels, 32 a side, each less the image's mean: a similarity without a network."""

    source = "pixels"

    def images(self, pictures: Iterable[Image]) -> Float32[Tensor, "N D"]:
        """Vectors of length one."""
        x = _tensor(pictures).flatten(1)
        return torch.nn.functional.normalize(x - x.mean(1, keepdim=True), dim=1)


class DigitReader:
    """The shipped classifier of digits as a space that images and captions share.

    An image becomes the roots of its ten probabilities, a caption the digit that it names: their cosine is
    the root of the probability of that digit. A caption that names none becomes all ten alike.
    """

    source = "digits"

    def __init__(self) -> None:
        self.classifier = RECIPES["digit_classifier"].load().network

    @torch.no_grad()
    def images(self, pictures: Iterable[Image]) -> Float32[Tensor, "N 10"]:
        """Vectors of length one."""
        found: Tensor = self.classifier(as_mnist(_tensor(pictures))).softmax(1).sqrt()
        return found

    def texts(self, captions: Sequence[str]) -> Float32[Tensor, "P 10"]:
        """Vectors of length one."""
        words = [set(re.findall(r"\w+", caption.lower())) for caption in captions]
        named = torch.tensor([[float(digit in some) for digit in DIGITS] for some in words])
        return torch.nn.functional.normalize(named + (named.sum(1, keepdim=True) == 0), dim=1)


def judges(clip: str, dino: str, device: str) -> tuple[Clip | DigitReader, Dino | Pixels]:
    """The networks of agreement and similarity by name.

    Args:
        clip: "digits" for `DigitReader`, "" for the CLIP of the paper's evaluation, else a folder or hub id.
        dino: "pixels" for `Pixels`, "" for DINOv2, else a folder or hub id.
        device: where downloaded networks run.
    """
    agreement = DigitReader() if clip == DigitReader.source else Clip.load(clip or None, device=device)
    likeness = Pixels() if dino == Pixels.source else Dino.load(dino or None, device=device)
    return agreement, likeness


def _tensor(pictures: Iterable[Image]) -> Float32[Tensor, "N 3 32 32"]:
    """Images in [-1, 1], resized."""
    arrays = [
        np.asarray(picture.convert("RGB").resize((SIDE, SIDE)), dtype=np.float32) for picture in pictures
    ]
    if not arrays:
        raise ValueError("got no image, expected one or more")
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2) / 127.5 - 1
