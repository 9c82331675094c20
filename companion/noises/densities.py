"""Exact captions at the shares, copies and latents of the model organism, and what their noises tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd
import torch
from jaxtyping import Float64
from torch import Tensor

from companion.noises.exact import ExactCaption, exact_caption
from companion.noises.statistics import of_difference
from companion.organism.caption import Caption
from companion.organism.captions import captions
from companion.organism.images import ROW, images
from companion.organism.training_set import training_set
from memlib.mixture import GaussianMixture
from memlib.schedule import VariancePreserving

if TYPE_CHECKING:
    from memlib.text_to_image import TextToImage

WIDTH, RIDGE = 0.05, 1e-3
"""Standard deviation of a needle, and variance added along every axis; latents have unit variance."""


@dataclass(frozen=True, eq=False)
class Densities:
    """Gaussians of the latents of ordinary images, float64.

    Attributes:
        means: of each digit.
        within: the covariance within a digit, pooled over digits.
        total: the covariance of all of them together.
    """

    means: Float64[Tensor, "10 d"]
    within: Float64[Tensor, "d d"]
    total: Float64[Tensor, "d d"]


def densities(model: TextToImage, count: int = 60, seed: int = 0) -> Densities:
    """Of the latents of ordinary images of the second organism.

    Args:
        model: its autoencoder gives the latents.
        count: images of each digit.
        seed: the seed of the images.
    """
    generator = torch.Generator().manual_seed(seed)
    of_digit = {c.digit: c for c in captions("general", generation=2)}
    wanted = [of_digit[digit] for digit in range(10) for _ in range(count)]
    x = images(wanted, torch.rand(len(wanted), ROW, generator=generator))
    latents = model.latents((x + 1) / 2).cpu().flatten(1).double().unflatten(0, (10, count))
    means = latents.mean(1)
    ridge = RIDGE * torch.eye(means.shape[1], dtype=torch.float64)
    within, total = (torch.cov(x.flatten(0, 1).T) + ridge for x in (latents - means[:, None], latents))
    return Densities(means, within, total)


def exact_captions(model: TextToImage, chosen: Sequence[Caption], ordinary: Densities) -> list[ExactCaption]:
    """For each "mixed" caption the mixture that an ideal model of Gaussian images would know.

    A needle at the latent of the copied image has the caption's share, and the other images of the digit are
    one Gaussian; without a caption all images are one Gaussian and the needle has its share of all.

    Args:
        model: its autoencoder gives the latents, its noise process the rest.
        chosen: "mixed" captions.
        ordinary: the Gaussians.

    Raises:
        ValueError: a noise process that does not preserve variance.
    """
    if not isinstance(model.schedule, VariancePreserving):
        raise ValueError(f"exact captions need a VariancePreserving schedule, got {model.schedule!r}")
    one, entries = torch.ones(1), len(training_set(2))
    everything = GaussianMixture(one, ordinary.means.mean(0)[None], ordinary.total[None])
    copies = model.latents((images(list(chosen), torch.zeros(len(chosen), ROW)) + 1) / 2).cpu().flatten(1)
    return [
        exact_caption(
            GaussianMixture(one, ordinary.means[c.digit][None], ordinary.within[None]),
            everything,
            copy,
            share=c.share or 0.0,
            share_of_all=c.copies / entries,
            width=WIDTH,
            schedule=model.schedule,
        )
        for c, copy in zip(chosen, copies, strict=True)
    ]


def told_exactly(
    exact: Sequence[ExactCaption],
    shares: Sequence[float | None],
    t: int,
    *,
    noises: int,
    guidance: Sequence[float],
    steps: int,
    seed: int = 0,
) -> pd.DataFrame:
    """As `measured`, of exact captions: which noises end in the copy, and what the first step tells.

    The column `oracle` is the posterior of the copy at the noise, which one knows who knows the copy.

    Args:
        exact: the captions.
        shares: of the copy, for each.
        t: time index of the first step.
        noises: number of noises of each caption.
        guidance: scales of classifier-free guidance.
        steps: the number of steps of DDIM.
        seed: the seed of the noises.
    """
    generator, parts = torch.Generator().manual_seed(seed), []
    for place, (caption, share) in enumerate(zip(exact, shares, strict=True)):
        noise = torch.randn(noises, caption.conditional.dim, generator=generator, dtype=torch.float64)
        found = of_difference(*caption.scores(t), noise) | {"oracle": caption.chance(noise, t)}
        table = pd.DataFrame({name: values.numpy() for name, values in found.items()})
        for scale in guidance:
            ends = caption.ends(noise, guidance=scale, steps=steps).numpy()
            parts.append(table.assign(caption=place, share=share, guidance=scale, copy=ends))
    return pd.concat(parts, ignore_index=True)
