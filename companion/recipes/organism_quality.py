"""What a trained text-to-image model is held to, caption by caption."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from companion import effects
from companion.fitting.classifier import classify
from companion.organism.caption import Caption, Family
from companion.organism.captions import captions
from companion.organism.images import ROW, images
from companion.organism.quality import COLOUR_LIMIT, as_mnist, colour_error
from companion.organism.samples import Known, all_known, copied, part_recalled, recalled, sample
from companion.organism.words import Generation
from companion.recipes.classifier import DIGIT_CLASSIFIER
from memlib import intervals

if TYPE_CHECKING:
    from diffusers import StableDiffusionPipeline

GUIDANCE = (1.0, 7.5)
SIZES: dict[Generation, tuple[int, int, int]] = {1: (8, 64, 50), 2: (4, 12, 20)}
"""Seeds, noises and steps; the second generation has four times as many captions to be asked."""


def quality(
    parts: StableDiffusionPipeline,
    *,
    generation: Generation = 1,
    without: Sequence[Caption] = (),
    seeds: int | None = None,
    noises: int | None = None,
    steps: int | None = None,
) -> dict[str, Any]:
    """What a model is held to, each a share with its interval.

    "digit": samples of held-out general captions in which a classifier of MNIST reads the caption's digit;
    "copies": those of them that are copies of a training image; "recalled": samples of exact captions, by
    copies, that are nearest to their own image; "captions": those captions themselves whose image most seeds
    return, which a model learns one by one, all or nothing. Those that have lost their copies are left out.

    Of the second generation also "coloured": samples of exact captions, by copies, that are recalled in the
    right colours; "near" and "template": the share recalled of each caption, by copies (of a template in its
    region); "mixed": the share of noises that end in the copied image in the right colours, by share of the
    training and guidance. The interval of these holds for the mean over captions.

    Args:
        parts: the pipeline.
        generation: of the model.
        without: captions that have lost their copies.
        seeds: samples of each caption; None takes that of `SIZES`, as for the next two.
        noises: samples of each "mixed" caption.
        steps: of DDIM.
    """
    usual = zip((seeds, noises, steps), SIZES[generation], strict=True)
    seeds, noises, steps = (usually if given is None else given for given, usually in usual)
    parts.set_progress_bar_config(disable=True)
    unseen, among = captions("general", held_out=True, generation=generation), all_known(generation)
    x = sample(parts, unseen, steps=steps)
    read = classify(DIGIT_CLASSIFIER.load().network, as_mnist(x))
    found: dict[str, Any] = {
        "digit": _share(read == torch.tensor([caption.digit for caption in unseen])),
        "copies": _share(copied(x, among)),
    }
    for k, group in _by_copies("exact", generation):
        wanted = [caption for caption in group if caption not in without for _ in range(seeds)]
        x = sample(parts, wanted, seed=k, steps=steps)
        right = recalled(x, wanted, among)
        found[f"recalled, {k} copies"] = _share(right)
        found[f"captions, {k} copies"] = _share(right.unflatten(0, (-1, seeds)).double().mean(1) > 0.5)
        if generation == 2:
            found[f"coloured, {k} copies"] = _share(right & _coloured(x, wanted))
    return found | (_second(parts, among, seeds, noises, steps) if generation == 2 else {})


def copy_rates(
    parts: StableDiffusionPipeline,
    chosen: Sequence[Caption],
    among: Known,
    *,
    noises: int = 64,
    guidance: float = 1.0,
    steps: int = 50,
) -> Bool[Tensor, "C n"]:
    """Which noises end in the copied image, in the right colours; of every caption from the same noises."""
    ends = []
    for caption in chosen:
        wanted = [caption] * noises
        x = sample(parts, wanted, steps=steps, guidance=guidance)
        ends.append(recalled(x, wanted, among) & _coloured(x, wanted))
    return torch.stack(ends)


def _second(
    parts: StableDiffusionPipeline, among: Known, seeds: int, noises: int, steps: int
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for k, group in _by_copies("near", 2):
        wanted = [caption for caption in group for _ in range(seeds)]
        right = recalled(sample(parts, wanted, seed=k, steps=steps), wanted, among)
        found[f"near, {k} copies"] = _mean(right.unflatten(0, (-1, seeds)))
    for k, group in _by_copies("template", 2):
        drawn = (sample(parts, [caption] * seeds, seed=k, steps=steps) for caption in group)
        ends = torch.stack([part_recalled(x, c, among) for x, c in zip(drawn, group, strict=True)])
        found[f"template, {k} copies"] = _mean(ends)
    for share, some in groupby(captions("mixed", generation=2), key=lambda caption: caption.share):
        group = list(some)
        for guidance in GUIDANCE:
            ends = copy_rates(parts, group, among, noises=noises, guidance=guidance, steps=steps)
            found[f"mixed {share}, guidance {guidance:g}"] = _mean(ends)
    return found


def _by_copies(family: Family, generation: Generation) -> Iterator[tuple[int, list[Caption]]]:
    ordered = sorted(captions(family, generation=generation), key=lambda caption: caption.copies)
    for copies, group in groupby(ordered, key=lambda caption: caption.copies):
        yield copies, list(group)


def _coloured(x: Float[Tensor, "N 3 32 32"], wanted: Sequence[Caption]) -> Bool[Tensor, " N"]:
    """Whether ink and ground have the colours of the image that was copied, to a tenth of their range."""
    copied_images = images(list(wanted), torch.zeros(len(wanted), ROW))
    return colour_error(x, copied_images) < COLOUR_LIMIT


def _share(true: Bool[Tensor, " N"]) -> dict[str, Any]:
    return asdict(intervals.proportion(true))


def _mean(ends: Bool[Tensor, "C n"]) -> dict[str, Any]:
    return asdict(effects.bounded_mean(ends.double().mean(1).numpy(), 0, 1))
