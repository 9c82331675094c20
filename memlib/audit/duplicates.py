"""Repeated images and repeated captions of a training set: the first cause of copies.

Images that look alike are found twice, as either way alone misses some: by a perceptual hash, which sees the
coarse forms in grey (Zauner 2010), and by the correlation of thumbnails, which sees colours.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import imagehash
import numpy as np
import torch
from jaxtyping import Bool, Int64
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from memlib.audit.spaces import Space
from memlib.audit.training_set import Example, pixels
from memlib.copies import joined, twins

BITS, SIDE, CORRELATION = 6, 32, 0.95
"""Hashes of 64 bits that differ in so few, or thumbnails of that side whose pixels correlate so well."""


@dataclass(frozen=True, eq=False)
class Repetition:
    """How often the images and captions of a training set occur.

    Attributes:
        digests: `digest` of each image.
        group: `(N,)` the group of images that look alike, numbered from 0.
        exact: `(N,)` the group of images whose pixels are the same.
        captions: how often the caption of each image occurs.
    """

    digests: list[str]
    group: Int64[Tensor, " N"]
    exact: Int64[Tensor, " N"]
    captions: list[int]

    @property
    def images(self) -> list[int]:
        """How many images look like each, itself included."""
        return torch.bincount(self.group)[self.group].tolist()

    @property
    def copies(self) -> list[int]:
        """How many images are the same as each, itself included."""
        return torch.bincount(self.exact)[self.exact].tolist()


def repetition(
    examples: Sequence[Example], encoder: Space | None = None, *, progress: bool = False
) -> Repetition:
    """Group the images of a training set.

    Args:
        examples: N training images.
        encoder: features of images; those that correlate as thumbnails should, less their mean over the
            training set, look alike too.
        progress: show a progress bar.

    Raises:
        TrainingSetError: naming an image that cannot be read.
    """
    hashes, thumbnails, digests, features = [], [], [], []
    for example in tqdm(examples, desc="training images", disable=not progress):
        image = example.open()
        hashes.append(imagehash.phash(image).hash.flatten())
        thumbnails.append(pixels(image, SIDE, SIDE))
        digests.append(digest(image))
        if encoder is not None:
            features.append(encoder([image])[0])
    captions = Counter(example.caption for example in examples)
    numbers = {digest: k for k, digest in enumerate(dict.fromkeys(digests))}
    exact = torch.tensor([numbers[digest] for digest in digests])
    coarse = _near(torch.from_numpy(np.stack(hashes)))
    colours = twins(torch.stack(thumbnails), correlation=CORRELATION)
    kinds = [coarse, colours, exact]
    if features:
        seen = torch.stack(features)
        kinds.append(twins(seen - seen.mean(0), correlation=CORRELATION))
    same = torch.stack(kinds, dim=1)
    group = joined(same, lambda some: (some[:, None] == same).any(-1))
    return Repetition(digests, group, exact, [captions[example.caption] for example in examples])


def digest(image: Image.Image) -> str:
    """Hexadecimal sha256 of the size and pixels of an image, which a file format does not change."""
    return hashlib.sha256(f"{image.size}".encode() + image.tobytes()).hexdigest()


def _near(hashes: Bool[Tensor, "N 64"]) -> Int64[Tensor, " N"]:
    """Groups of hashes of which few bits differ."""
    signs = hashes.float() * 2 - 1
    return joined(signs, lambda some: signs.shape[1] - some @ signs.T <= 2 * BITS)
