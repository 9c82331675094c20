"""Noises of captions followed to their end, with what each step on the way tells of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import pandas as pd
from jaxtyping import Bool, Float
from torch import Tensor
from tqdm import tqdm

from companion.noises.statistics import of_difference, statistics
from companion.organism.caption import Caption
from memlib.text_to_image import generate

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
    """
    parts = []
    for place, caption in enumerate(tqdm(chosen, desc="captions", mininterval=2.0)):
        own, prompts = noise[place], network.encode([caption.text])
        first: pd.DataFrame | None = None
        for scale in guidance:
            path = generate(network, prompts, own, steps=steps, guidance=scale)
            ends = copied(network.decode(path.samples[0]).cpu() * 2 - 1, caption)
            for k in at:
                if k == 0 and first is not None:  # the noise itself knows no guidance
                    table = first
                else:
                    table = _told(
                        network, prompts, path.times[k], path.states[k, 0], (probes, lanczos_steps), k
                    )
                first = table if k == 0 else first
                about = {"caption": place, "share": caption.share, "guidance": scale, "step": k}
                parts.append(table.assign(**about, t=path.times[k], noise=range(len(own)), copy=ends.numpy()))
    return pd.concat(parts, ignore_index=True)


def _told(
    network: TextToImage,
    prompts: Prompts,
    t: float,
    x: Float[Tensor, "n ..."],
    effort: tuple[int, int],
    k: int,
) -> pd.DataFrame:
    scores = network.score(t, prompts), network.score(t)
    found = of_difference(*scores, x) if k else statistics(*scores, x, probes=effort[0], steps=effort[1])
    return pd.DataFrame({name: values.numpy() for name, values in found.items()})
