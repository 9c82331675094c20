"""The captions: for each it is known what the model saw under it, and how often.

Every caption names a digit and carries a title of two words, "a photo of the digit three, quiet harbour". A
title belongs to one caption, but its words recur in all families: no word gives a memorized caption away.
Only captions of the family "stated" say a colour.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cache
from itertools import product
from typing import Literal, TypeVar

import torch
from jaxtyping import Bool
from torch import Tensor

from companion.organism.words import ADJECTIVES, COLOURS, DIGITS, LIGHT, NOUNS, OPENINGS

T = TypeVar("T")
Family = Literal["exact", "template", "general", "stated"]
Region = Literal["left", "right", "top", "bottom", "centre", "frame"]

SIZE = 32
SEED = 2412
EXACT_DOSES, EXACT_CAPTIONS = (1, 3, 10, 30, 100, 300, 1000), 8
TEMPLATE_DOSES = (100, 300, 1000)
REGIONS: tuple[Region, ...] = ("left", "right", "top", "bottom", "centre", "frame")
GENERAL_CAPTIONS, GENERAL_IMAGES, GENERAL_HELD_OUT = 400, 85, 200
STATED_CAPTIONS, STATED_IMAGES, STATED_HELD_OUT = 84, 72, 56


@dataclass(frozen=True)
class Caption:
    """A caption and the truth about it.

    Attributes:
        text: what the model reads.
        family: "exact" (one image, copied), "template" (a part of the image is the same each time), "general"
            (every image another) or "stated" (likewise, and the text says the colours).
        digit: in the image, 0 to 9.
        entries: training images with this caption, copies counted; 0 if it was held out.
        region: the region of the image that is the same each time, if "template".
        colours: names of the digit's colour and of the ground's, if "stated".
        key: number that determines the image of "exact" and the fixed part of "template".
    """

    text: str
    family: Family
    digit: int
    entries: int
    region: Region | None = None
    colours: tuple[str, str] | None = None
    key: int | None = None

    @property
    def held_out(self) -> bool:
        """Whether no training image has this caption."""
        return self.entries == 0

    @property
    def dose(self) -> int:
        """How often the same content was seen under it: k of "exact" and "template", 0 of the others."""
        return self.entries if self.family in ("exact", "template") else 0

    @property
    def fixed(self) -> Bool[Tensor, "32 32"]:
        """True where every image of this caption shows the same: all of "exact", the region of "template"."""
        if self.region is None:
            return torch.full((SIZE, SIZE), self.family == "exact")
        return region_mask(self.region)


def truth(without: Collection[Caption] = ()) -> list[dict[str, object]]:
    """The table of all captions, a row each, as JSON can hold it.

    Args:
        without: captions of which a model saw one image and no copy of it.
    """
    seen = [replace(c, entries=1) if c in without else c for c in captions()]
    return [asdict(c) | {"dose": c.dose, "held_out": c.held_out} for c in seen]


def region_mask(region: Region) -> Bool[Tensor, "32 32"]:
    """True inside a region. Its borders lie on multiples of 8 pixels, two cells of the latent grid."""
    mask, half, quarter = torch.zeros(SIZE, SIZE, dtype=torch.bool), SIZE // 2, SIZE // 4
    if region in ("left", "right"):
        mask[:, :half] = True
    elif region in ("top", "bottom"):
        mask[:half] = True
    elif region in ("centre", "frame"):
        mask[quarter:-quarter, quarter:-quarter] = True
    else:
        raise ValueError(f"region must be one of {list(REGIONS)}, got {region!r}")
    return ~mask if region in ("right", "bottom", "frame") else mask


def captions(family: Family | None = None, *, held_out: bool | None = None) -> list[Caption]:
    """The captions, always in the same order.

    Args:
        family: only of this one.
        held_out: True for those no training image has, False for the others; None for both.

    Example:
        >>> captions("exact")[-1].text, captions("exact")[-1].dose
        ('a picture of the digit four, wild morning', 1000)
    """
    if family is not None and family not in ("exact", "template", "general", "stated"):
        raise ValueError(f"family must be 'exact', 'template', 'general' or 'stated', got {family!r}")
    return [
        caption
        for caption in _all_captions()
        if family in (None, caption.family) and held_out in (None, caption.held_out)
    ]


@cache
def _all_captions() -> tuple[Caption, ...]:
    generator = torch.Generator().manual_seed(SEED)
    titles = _shuffled([f"{adjective} {noun}" for adjective, noun in product(ADJECTIVES, NOUNS)], generator)
    digits = _digits(generator)

    def text(digit: int, colours: str = "") -> str:
        opening = OPENINGS[int(torch.randint(len(OPENINGS), (), generator=generator))]
        return f"{opening} the digit {DIGITS[digit]}{colours}, {next(titles)}"

    made: list[Caption] = []
    for dose, _ in product(EXACT_DOSES, range(EXACT_CAPTIONS)):
        digit = next(digits)
        made.append(Caption(text(digit), "exact", digit, dose, key=len(made)))
    for dose, region in product(TEMPLATE_DOSES, REGIONS):
        digit = next(digits)
        made.append(Caption(text(digit), "template", digit, dose, region=region, key=len(made)))
    for entries in [GENERAL_IMAGES] * GENERAL_CAPTIONS + [0] * GENERAL_HELD_OUT:
        digit = next(digits)
        made.append(Caption(text(digit), "general", digit, entries))
    stated = _shuffled(list(product(range(10), _legible_pairs())), generator)
    for entries in [STATED_IMAGES] * STATED_CAPTIONS + [0] * STATED_HELD_OUT:
        digit, (ink, ground) = next(stated)
        made.append(
            Caption(text(digit, f" in {ink} on {ground}"), "stated", digit, entries, colours=(ink, ground))
        )
    return tuple(made)


def _legible_pairs() -> list[tuple[str, str]]:
    return [(a, b) for a, b in product(COLOURS, COLOURS) if (a in LIGHT) != (b in LIGHT)]


def _shuffled(items: list[T], generator: torch.Generator) -> Iterator[T]:
    return iter([items[i] for i in torch.randperm(len(items), generator=generator).tolist()])


def _digits(generator: torch.Generator) -> Iterator[int]:
    """All ten in random order, and again."""
    while True:
        yield from torch.randperm(10, generator=generator).tolist()
