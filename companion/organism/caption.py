"""A caption and the truth about it: what a model saw under it, and how often."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool
from torch import Tensor

Family = Literal["exact", "template", "mixed", "near", "general", "stated"]
Region = Literal["left", "right", "top", "bottom", "centre", "frame"]
Varied = Literal["place", "colour"]

SIZE = 32
FAMILIES: tuple[Family, ...] = ("exact", "template", "mixed", "near", "general", "stated")
VARIED: tuple[Varied, ...] = ("place", "colour")
REGIONS: tuple[Region, ...] = ("left", "right", "top", "bottom", "centre", "frame")


@dataclass(frozen=True)
class Caption:
    """A caption and the truth about it.

    Attributes:
        text: what the model reads.
        family: "exact" (one image, copied), "template" (a part of the image is the same each time), "mixed"
            (one image has a share of the entries), "near" (one image, each time a little different),
            "general" (every image another) or "stated" (likewise, and the text says much of them).
        digit: in the image, 0 to 9.
        entries: training images with this caption, copies counted; 0 if it was held out.
        region: of the image that is the same each time, if "template".
        colours: names of the digit's colour and of the ground's, if "stated" says them.
        key: number that determines the image that is copied, or its fixed part.
        share: of the entries that are the one image, if "mixed".
        varied: what differs between the images: if "near", their place or their colour, a little; if
            "template", their colour outside of the region, or all there if None.
        manner: where the digit stands and how it is drawn, if "stated" says that.
    """

    text: str
    family: Family
    digit: int
    entries: int
    region: Region | None = None
    colours: tuple[str, str] | None = None
    key: int | None = None
    share: float | None = None
    varied: Varied | None = None
    manner: tuple[str, str] | None = None

    @property
    def held_out(self) -> bool:
        """Whether no training image has this caption."""
        return self.entries == 0

    @property
    def copies(self) -> int:
        """How often its one image, or a part or a near-duplicate of it, was seen; 0 if it has none."""
        if self.key is None:
            return 0
        return self.entries if self.share is None else round(self.share * self.entries)

    @property
    def fixed(self) -> Bool[Tensor, "32 32"]:
        """True where every image of this caption shows the same: all of "exact", the region of "template"."""
        if self.region is None:
            return torch.full((SIZE, SIZE), self.family == "exact")
        return region_mask(self.region)


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
