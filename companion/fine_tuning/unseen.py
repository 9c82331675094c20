"""The files of a fine-tune, and captions and images that it does not see: the harmless ones of an audit."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from companion.images import eight_bits
from companion.organism import Caption, captions
from companion.organism.captions import legible_pairs
from companion.organism.fine_tune_set import FineTuneSet
from companion.organism.images import ROW, images
from companion.organism.words import ADJECTIVES, DIGITS, NOUNS, OPENINGS
from memlib.files import whole, write_text


def write_set(data: FineTuneSet, folder: Path) -> Path:
    """An image file for each entry, and `metadata.jsonl` as the training scripts of diffusers read it."""
    folder.mkdir(parents=True, exist_ok=True)
    pairs = data.pairs
    files = write_images(pairs.images(torch.arange(len(pairs))), folder)
    told = [pairs.captions[place] for place in pairs.caption.tolist()]
    lines = [
        json.dumps({"file_name": file.name, "text": caption.text, "family": caption.family})
        for file, caption in zip(files, told, strict=True)
    ]
    write_text(folder / "metadata.jsonl", "\n".join(lines) + "\n")
    return folder


def unseen(taken: Sequence[Caption] = ()) -> list[Caption]:
    """Captions that neither the organism has read nor `taken` holds: held-out ones, then fresh ones.

    The fresh ones have the titles of two words that no caption of the organism has. Two of three are general,
    and the third states colours.
    """
    held_out = [caption for caption in captions(held_out=True) if caption not in taken]
    used = {caption.text.rpartition(", ")[2] for caption in captions()}
    free = [title for title in map(" ".join, product(ADJECTIVES, NOUNS)) if title not in used]
    order = torch.randperm(len(free), generator=torch.Generator().manual_seed(0)).tolist()
    return held_out + [_fresh(k, free[place]) for k, place in enumerate(order)]


def _fresh(k: int, title: str) -> Caption:
    pairs = legible_pairs()
    ink, ground = pairs[k // 3 % len(pairs)]
    said, family, colours = "", "general", None
    if k % 3 == 2:
        said, family, colours = f" in {ink} on {ground}", "stated", (ink, ground)
    text = f"{OPENINGS[k % len(OPENINGS)]} the digit {DIGITS[k % 10]}{said}, {title}"
    return Caption(text, family, k % 10, 0, colours=colours)  # type: ignore[arg-type]  # one of the two


def unseen_images(wanted: Sequence[Caption], count: int, *, seed: int = 0) -> Float[Tensor, "N 3 32 32"]:
    """Images that would fit some captions, in handwriting of MNIST's test split, which no model has seen."""
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randint(len(wanted), (count,), generator=generator).tolist()
    rows = torch.rand(count, ROW, generator=generator)
    return images([wanted[place] for place in chosen], rows, split="test")


def write_images(some: Float[Tensor, "N 3 H W"], folder: Path) -> list[Path]:
    """PNG files, in order, of images in [-1, 1]."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{number:04d}.png" for number in range(len(some))]
    for file, pixels in zip(files, eight_bits(some.permute(0, 2, 3, 1)), strict=True):
        with whole(file) as temporary:
            Image.fromarray(pixels).save(temporary, format="PNG")
    return files
