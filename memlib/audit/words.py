"""What an audit says in words: the verdict, advice, and how far both can be trusted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from memlib.audit.report import Caption, Estimate
from memlib.audit.significance import calibration_needed

_ADVISED = 20


@dataclass(frozen=True)
class Facts:
    """The numbers that sentences are made of; see `Report`."""

    captions: Sequence[Caption]
    at_least: Sequence[int]
    rate: float
    calibration: int
    extracted: Estimate | None
    innocent: Estimate | None
    threshold: float
    seeds: int
    base: bool

    @property
    def reproduced(self) -> list[Caption]:
        """Captions under which a training image came out."""
        return [caption for caption in self.captions if caption.reproduced]

    @property
    def looked_at(self) -> int:
        """How many captions images were generated for."""
        return sum(caption.looked_at is not None for caption in self.captions)

    @property
    def listed(self) -> int:
        """How many captions the list has."""
        return sum(caption.listed for caption in self.captions)


def verdict(facts: Facts) -> list[str]:
    """What was found, the most certain first."""
    came = facts.reproduced
    images = {pair.training for caption in came for pair in caption.pairs if pair.reproduced}
    said = []
    if came:
        said.append(
            f"The model gives back training images: {_many(len(images), 'different one')} came out, under "
            f"{len(came):,} of the {_many(facts.looked_at, 'caption')} whose images were generated."
        )
    else:
        said.append(
            f"No training image came out under the {_many(facts.looked_at, 'caption')} whose "
            "images were generated."
        )
    if facts.extracted is not None:
        e = facts.extracted
        said.append(
            f"Of all {len(facts.captions):,} captions a share of {e.value:.3f} gives back a "
            "training image within "
            f"{_many(facts.seeds, 'image')} each (95 % interval {e.low:.3f} to {e.high:.3f})."
        )
    if facts.listed:
        surely = facts.at_least[facts.listed - 1]
        at_least = (
            f"; at least {surely:,} of them are memorized, with a probability of 95 %" if surely else ""
        )
        said.append(
            f"{_many(facts.listed, 'caption')} stand{'s' * (facts.listed == 1)} out from "
            f"{facts.calibration:,} harmless "
            f"ones: on average at most {facts.rate:.0%} of such a list is harmless{at_least}."
        )
    elif facts.calibration:
        said.append(
            f"No caption stands out from the {facts.calibration:,} harmless ones at a false "
            f"discovery rate of {facts.rate:.0%}."
        )
    return said


def advice(facts: Facts) -> list[str]:
    """What to do about each caption whose image came out."""
    said = []
    for caption in facts.reproduced[:_ADVISED]:
        name = next(pair.training for pair in caption.pairs if pair.reproduced)
        if caption.alike > 1:
            said.append(f"{name}: keep one of the {caption.alike:,} training images that look alike.")
        elif caption.images == 1:
            said.append(
                f"{name}: its caption has no other image; give it a plainer one, or leave the image out."
            )
        else:
            said.append(f"{name}: leave it out, or train for fewer steps.")
    if len(facts.reproduced) > _ADVISED:
        said.append(f"The same for {len(facts.reproduced) - _ADVISED:,} more captions in report.json.")
    return said or ["Nothing came out that would need a remedy."]


def limits(facts: Facts) -> list[str]:
    """What was tested, and what was not."""
    said = [
        "Reproduced means: of two images that do not look alike, the nearest lies nearer to the "
        "generated one than "
        f"{facts.threshold:.3f} of the distance to the next."
    ]
    if facts.innocent is not None:
        e = facts.innocent
        said.append(
            f"Of {e.n:,} images that cannot be copies ({_innocent(facts)}) a share of "
            f"{e.value:.3f} counts as "
            f"reproduced by this rule (95 % interval {e.low:.3f} to {e.high:.3f})."
        )
    said.append(
        f"Each caption had {_many(facts.seeds, 'chance')}. An image that did not come out may come "
        "out from another noise, "
        "another prompt or another guidance."
    )
    said.append(
        "This says which training images come out. It does not say that an image was not trained "
        "on, and nothing about "
        "images that are not in the training set given."
    )
    if not facts.base:
        said.append(
            "Without the base model, captions that say much of the image (its colours, its place) "
            "rank high without "
            "being memorized."
        )
    said.append(_calibration(facts))
    return said


def _calibration(facts: Facts) -> str:
    if not facts.calibration:
        return (
            "Without harmless captions for calibration there is no list and no p-value: the order "
            "says which captions "
            "are more suspicious, not how many are memorized."
        )
    few, sure = max(1, len(facts.reproduced)), math.ceil(len(facts.captions) / 0.05) - 1
    if not any(facts.at_least) and facts.listed:
        return (
            f"The list rests on {_many(facts.calibration, 'harmless caption')}. To say of how many "
            "captions in it memorization "
            f"is certain may take {sure:,}."
        )
    needed = calibration_needed(len(facts.captions), few, facts.rate)
    if needed <= facts.calibration:
        return (
            f"p-values rest on {_many(facts.calibration, 'harmless caption')}, of the kind of those screened."
        )
    return (
        f"To list {_many(few, 'memorized caption')} among {len(facts.captions):,} at this rate "
        f"takes {needed:,} harmless "
        f"captions; there are {facts.calibration:,}, so that an empty list shows nothing."
    )


def _innocent(facts: Facts) -> str:
    return "under harmless captions" if facts.calibration else "of the base, under the same captions"


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"
