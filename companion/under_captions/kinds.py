"""Captions of the model organism by what was copied under them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from companion import plots
from companion.organism import Caption, captions

KINDS = {
    "exact": (plots.MEMORIZED, "exact, many copies"),
    "template": ("#b35806", "template"),
    "rare": ("#7b3294", "exact, few copies"),
    "general": (plots.GENERAL, "general"),
    "stated": ("#1b7837", "stated"),
}
"""Kind -> colour and label. "rare" are exact captions with fewer copies than count as memorized."""
LABELS = {kind: label for kind, (_, label) in KINDS.items()}
"""Kind -> label."""


@dataclass(frozen=True)
class Chosen:
    """Captions, those of the kind "rare" last.

    Attributes:
        captions: P of them.
        kinds: the kind of each caption.
    """

    captions: tuple[Caption, ...]
    kinds: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.captions)

    @property
    def texts(self) -> list[str]:
        """What the model reads."""
        return [caption.text for caption in self.captions]

    @property
    def copies(self) -> list[int]:
        """How often the same content was seen under each."""
        return [caption.copies for caption in self.captions]

    @property
    def places(self) -> dict[str, list[int]]:
        """Kind -> places of its captions, in the order of `KINDS`."""
        return {kind: np.flatnonzero([own == kind for own in self.kinds]).tolist() for kind in KINDS}

    def exact(self, copies: int) -> list[int]:
        """Places of exact captions with this number of copies."""
        return [i for i, c in enumerate(self.captions) if c.family == "exact" and c.copies == copies]


def choose(
    *,
    exact: int,
    template: int,
    general: int,
    stated: int,
    copies: Sequence[int] = (1, 10, 100, 300, 1000),
    strong: int = 300,
) -> Chosen:
    """The first captions of every family and number of copies.

    Args:
        exact: captions of one image, of each number of `copies`.
        template: captions of which a part of the image is always the same, of each number that there is.
        general: captions of many images.
        stated: captions that state the colours.
        copies: numbers of copies of exact captions.
        strong: number of copies from which on an exact caption counts as memorized.
    """
    wanted = {"exact": exact, "template": template, "general": general, "stated": stated}
    taken: dict[tuple[str, int], list[Caption]] = {}
    for caption in captions(held_out=False):
        some = taken.setdefault((caption.family, caption.copies), [])
        usable = caption.family != "exact" or caption.copies in copies
        if usable and len(some) < wanted[caption.family]:
            some.append(caption)
    found = [caption for some in taken.values() for caption in some]
    kinds = ["rare" if c.family == "exact" and c.copies < strong else c.family for c in found]
    order = sorted(range(len(found)), key=lambda place: kinds[place] == "rare")
    return Chosen(tuple(found[i] for i in order), tuple(kinds[i] for i in order))
