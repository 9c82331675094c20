"""The same question of a text-to-image model, with captions as the unit: what each tells at one snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch

from companion.organism.caption import Caption
from companion.organism.samples import Known, recalled, sample
from memlib.text_to_image import TextToImage, one_step

if TYPE_CHECKING:
    from diffusers import StableDiffusionPipeline


def of_captions(
    pipeline: StableDiffusionPipeline,
    captions: Sequence[Caption],
    among: Known,
    *,
    seeds: int = 4,
    noises: int = 4,
    steps: int = 25,
) -> pd.DataFrame:
    """How often each caption returns its own training image, and the paper's statistics at the first step.

    Captions that the training never saw have no image to return; they are the level from which the others
    leave, as held-out images are for an unconditional network.

    Args:
        pipeline: of the organism, as it was after some training steps.
        captions: trained and held-out ones.
        among: the training images.
        seeds: samples of each caption.
        noises: points of the statistics.
        steps: of DDIM.

    Returns:
        A row for each caption: `caption`, `family`, `copies` in the training set, the share `recalled`, the
        means `difference` of ||s_Delta|| and `gain` of ||H_Delta s_Delta||.
    """
    model, generator = TextToImage(pipeline), torch.Generator().manual_seed(0)
    found = one_step(model, model.encode([of.text for of in captions]), model.noise(noises, generator))
    wanted = [caption for caption in captions for _ in range(seeds)]
    own = recalled(sample(pipeline, wanted, steps=steps), wanted, among).view(len(captions), seeds)
    columns: dict[str, Any] = {
        "caption": [of.text for of in captions],
        "family": [of.family for of in captions],
        "copies": [of.copies for of in captions],
        "recalled": own.double().mean(1).tolist(),
        "difference": found.difference.mean(1).tolist(),
        "gain": found.curvature.mean(1).tolist(),
    }
    return pd.DataFrame(columns)
