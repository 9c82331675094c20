"""The captions: for each it is known what the model saw under it, and how often.

Every caption names a digit and carries a title of two words, "a photo of the digit three, quiet harbour". A
title belongs to one caption, but its words recur in all families: no word gives a memorized caption away.
Only captions of the family "stated" say a colour, or a place and a manner.

There are two generations. Each is a list of groups of captions that are made in the same way.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cache
from itertools import product
from typing import Literal, TypeVar

import torch

from companion.organism.caption import FAMILIES, REGIONS, VARIED, Caption, Family, Region, Varied
from companion.organism.words import (
    ADJECTIVES,
    COLOURS,
    DIGITS,
    LIGHT,
    MORE_ADJECTIVES,
    NOUNS,
    OPENINGS,
    PLACES,
    STYLES,
    Generation,
)

T = TypeVar("T")
Stated = Literal["colours", "manner"]

SEED = 2412
EXACT_DOSES, EXACT_CAPTIONS = (1, 3, 10, 30, 100, 300, 1000), 8
TEMPLATE_DOSES = (100, 300, 1000)
GENERAL_CAPTIONS, GENERAL_IMAGES, GENERAL_HELD_OUT = 400, 85, 200
STATED_CAPTIONS, STATED_IMAGES, STATED_HELD_OUT = 84, 72, 56


@dataclass(frozen=True)
class Group:
    """Captions that are made in the same way; attributes have the meaning that they have in `Caption`.

    Attributes:
        count: of captions, how many there are.
        stated: what their text says of the image.
    """

    family: Family
    count: int
    entries: int
    region: Region | None = None
    share: float | None = None
    varied: Varied | None = None
    stated: Stated | None = None

    @property
    def keyed(self) -> bool:
        """Whether each of its captions has one image that is copied, in whole or in part."""
        return self.family not in ("general", "stated")


FIRST = (
    *(Group("exact", EXACT_CAPTIONS, dose) for dose in EXACT_DOSES),
    *(Group("template", 1, dose, region=region) for dose, region in product(TEMPLATE_DOSES, REGIONS)),
    Group("general", GENERAL_CAPTIONS, GENERAL_IMAGES),
    Group("general", GENERAL_HELD_OUT, 0),
    Group("stated", STATED_CAPTIONS, STATED_IMAGES, stated="colours"),
    Group("stated", STATED_HELD_OUT, 0, stated="colours"),
)
SECOND = (
    *(Group("exact", 30, copies) for copies in (10, 20, 30, 45, 60, 100)),
    Group("exact", 10, 300),
    Group("exact", 5, 1000),
    *(Group("mixed", 10, 300, share=share) for share in (0.1, 0.3, 0.5, 0.7, 0.9)),
    *(Group("near", 8, copies, varied=varied) for copies, varied in product((60, 200), VARIED)),
    *(Group("template", 1, copies, region=r, varied="colour") for copies, r in product((200, 600), REGIONS)),
    Group("general", 300, 36),
    Group("general", 300, 0),
    Group("stated", 50, 40, stated="colours"),
    Group("stated", 40, 0, stated="colours"),
    Group("stated", 40, 40, stated="manner"),
    Group("stated", 40, 0, stated="manner"),
)


@dataclass(frozen=True)
class Plan:
    """What a generation is made from: its groups, the adjectives of its titles, a seed and the first key."""

    groups: tuple[Group, ...]
    adjectives: tuple[str, ...]
    seed: int
    first_key: int


PLANS: dict[Generation, Plan] = {
    1: Plan(FIRST, ADJECTIVES, SEED, 0),
    2: Plan(SECOND, ADJECTIVES + MORE_ADJECTIVES, SEED + 100, 1000),
}


def captions(
    family: Family | None = None, *, held_out: bool | None = None, generation: Generation = 1
) -> list[Caption]:
    """The captions, always in the same order.

    Args:
        family: only of this one.
        held_out: True for those no training image has, False for the others; None for both.
        generation: of the organism.

    Example:
        >>> captions("exact")[-1].text, captions("exact")[-1].copies
        ('a picture of the digit four, wild morning', 1000)
    """
    if family is not None and family not in FAMILIES:
        raise ValueError(f"family must be one of {list(FAMILIES)}, got {family!r}")
    return [
        caption
        for caption in _all_captions(generation)
        if family in (None, caption.family) and held_out in (None, caption.held_out)
    ]


def truth(without: Collection[Caption] = (), *, generation: Generation = 1) -> list[dict[str, object]]:
    """The table of all captions, a row each, as JSON can hold it; no column is empty.

    Args:
        without: captions of which a model saw one image and no copy of it.
        generation: of the organism.
    """
    seen = [replace(c, entries=1) if c in without else c for c in captions(generation=generation)]
    rows = [asdict(c) | {"dose": c.copies, "held_out": c.held_out} for c in seen]
    filled = [column for column in rows[0] if any(row[column] is not None for row in rows)]
    return [{column: row[column] for column in filled} for row in rows]


@cache
def _all_captions(generation: Generation) -> tuple[Caption, ...]:
    plan = PLANS[generation]
    generator = torch.Generator().manual_seed(plan.seed)
    titles = _shuffled(
        [f"{adjective} {noun}" for adjective, noun in product(plan.adjectives, NOUNS)], generator
    )
    digits = _digits(generator)
    said = {
        "colours": _statements(legible_pairs(), generator),
        "manner": _statements(list(product(PLACES, STYLES)), generator),
    }
    made: list[Caption] = []
    for group in plan.groups:
        for _ in range(group.count):
            digit, words = next(said[group.stated]) if group.stated else (next(digits), ("", ""))
            text = _text(digit, next(titles), group.stated, words, generator)
            key = plan.first_key + len(made) if group.keyed else None
            colours, manner = (words if group.stated == what else None for what in ("colours", "manner"))
            made.append(
                Caption(
                    text, group.family, digit, group.entries, group.region, colours, key, group.share,
                    group.varied, manner,
                )
            )  # fmt: skip
    return tuple(made)


def _text(
    digit: int, title: str, stated: Stated | None, words: tuple[str, str], generator: torch.Generator
) -> str:
    opening = OPENINGS[int(torch.randint(len(OPENINGS), (), generator=generator))]
    if stated == "colours":
        return f"{opening} the digit {DIGITS[digit]} in {words[0]} on {words[1]}, {title}"
    if stated == "manner":
        return f"{opening} the {words[1]} digit {DIGITS[digit]} at the {words[0]}, {title}"
    return f"{opening} the digit {DIGITS[digit]}, {title}"


def _statements(
    words: list[tuple[str, str]], generator: torch.Generator
) -> Iterator[tuple[int, tuple[str, str]]]:
    """Digits with their descriptions, each once in random order, drawn at the first request."""
    yield from _shuffled(list(product(range(10), words)), generator)


def legible_pairs() -> list[tuple[str, str]]:
    """Colours of a digit and its ground, one light and the other dark."""
    return [(a, b) for a, b in product(COLOURS, COLOURS) if (a in LIGHT) != (b in LIGHT)]


def _shuffled(items: list[T], generator: torch.Generator) -> Iterator[T]:
    return iter([items[i] for i in torch.randperm(len(items), generator=generator).tolist()])


def _digits(generator: torch.Generator) -> Iterator[int]:
    """All ten in random order, and again."""
    while True:
        yield from torch.randperm(10, generator=generator).tolist()
