"""A model that ships as if nothing were known of it: lists and images on disk, in the published formats."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from companion.comparison.training_images import pillow
from companion.images import eight_bits
from companion.organism import captions, image
from memlib.files import whole, write_text

MEMORIZED = 100
"""Copies of one image from which on a caption is listed as memorized."""


@dataclass(frozen=True)
class StandIn:
    """Files as they would be downloaded.

    Attributes:
        captions: CSV of captions with the families "exact", "template" and "general".
        listing: of the training images of the first memorized captions, JSON lines beside `gt_images/`.
    """

    captions: Path
    listing: Path


def stand_in(
    folder: Path,
    *,
    families: Sequence[str] = ("exact", "template", "general"),
    each: int = 40,
    pictured: int = 8,
    images: int = 2,
) -> StandIn:
    """Write a list of captions and training images of some of them.

    How often an image was copied, which part of it, and what the others saw is left out: a list of prompts
    does not say it either.

    Args:
        folder: for the files.
        families: of the captions that are listed.
        each: captions of a family at most.
        pictured: memorized captions with training images.
        images: training images of each. Those of a caption with one image are the same.
    """
    known = [c for c in captions(held_out=False) if c.family != "exact" or c.entries >= MEMORIZED]
    some = [caption for family in families for caption in [c for c in known if c.family == family][:each]]
    table = io.StringIO()
    csv.writer(table).writerows([("text", "family"), *((c.text, c.family) for c in some)])
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "captions.csv", table.getvalue())
    entries = []
    for index, caption in enumerate([c for c in some if c.family == "exact"][:pictured]):
        entries.append(json.dumps({"caption": caption.text, "index": index}))
        home = folder / "gt_images" / str(index)
        home.mkdir(parents=True, exist_ok=True)
        for number in range(images):
            pixels = image(caption, torch.Generator().manual_seed(number))
            picture = eight_bits(pixels.permute(1, 2, 0))
            with whole(home / f"{number}.png") as temporary:
                pillow().fromarray(picture).save(temporary, format="PNG")
    write_text(folder / "listing.jsonl", "\n".join(entries) + "\n")
    return StandIn(folder / "captions.csv", folder / "listing.jsonl")
