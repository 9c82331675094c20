"""Noises of captions followed to their end, with what each step on the way tells of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from torch import Tensor
from tqdm import tqdm

from companion.noises.statistics import of_difference, statistics
from companion.organism.caption import Caption

if TYPE_CHECKING:
    from memlib.text_to_image import Prompts, TextToImage

Judge = Callable[[Float[Tensor, "n 3 H W"], Caption], Bool[Tensor, " n"]]
"""Images in [-1, 1] of one caption -> which of them are its copy."""


def measured(
    network: TextToImage,
    chosen: Sequence[Caption],
    copied: Judge,
    noise: Float[Tensor, "P n ..."],
    *,
    guidance: Sequence[float] = (1.0, 3.0, 7.5),
    at: Sequence[int] = (0,),
    steps: int = 50,
    probes: int = 4,
    lanczos_steps: int = 16,
    rows: int = 64,
) -> pd.DataFrame:
    """A row for every caption, guidance, noise and step: whether the noise ends in the copy, and what tells.

    The statistics are those of the scores themselves, whatever the guidance of the path.

    Args:
        network: the model.
        chosen: P captions.
        copied: judges the images at the ends.
        noise: n noises of each caption, of its own, so that captions are independent draws; the same for all
            guidances.
        guidance: scales of classifier-free guidance.
        at: positions among the sampling steps, 0 for the noise itself, where every statistic is measured;
            at later ones those of the score difference alone are, and the others are NaN.
        steps: the number of sampling steps.
        probes: random directions, see `statistics`.
        lanczos_steps: steps of Lanczos, see `statistics`.
        rows: captions times noises at a time; bounds the memory.
    """
    effort = probes, lanczos_steps
    parts, times, together = [], network.timesteps(steps), max(1, rows // noise.shape[1])
    chunks = [range(len(chosen))[k : k + together] for k in range(0, len(chosen), together)]
    for chunk in tqdm(chunks, desc="captions", mininterval=2.0):
        some = [chosen[p] for p in chunk]
        own, prompts = noise[chunk.start : chunk.stop], network.encode([c.text for c in some])
        known = pd.DataFrame(
            [(p, c.share, k) for p, c in zip(chunk, some, strict=True) for k in range(noise.shape[1])],
            columns=["caption", "share", "noise"],
        )
        told: dict[int, pd.DataFrame] = {}
        for scale in guidance:
            path = network.sample(prompts, own.flatten(0, 1), steps=steps, guidance=scale, keep=at)
            images = network.decode(path.samples).cpu().unflatten(0, own.shape[:2]) * 2 - 1
            copies = np.concatenate([copied(x, c).numpy() for x, c in zip(images, some, strict=True)])
            for k in at:
                if k > 0 or k not in told:  # the noise itself knows no guidance
                    told[k] = _told(network, prompts, times[k], path.states[times[k]], effort, k)
                about = {"guidance": scale, "step": k, "t": times[k], "copy": copies}
                parts.append(pd.concat([known, told[k]], axis=1).assign(**about))
    return pd.concat(parts, ignore_index=True)


def _told(
    network: TextToImage,
    prompts: Prompts,
    t: float,
    x: Float[Tensor, "B ..."],
    effort: tuple[int, int],
    k: int,
) -> pd.DataFrame:
    scores = network.score(t, prompts), network.score(t)
    found = of_difference(*scores, x) if k else statistics(*scores, x, probes=effort[0], steps=effort[1])
    return pd.DataFrame({name: values.numpy() for name, values in found.items()})
