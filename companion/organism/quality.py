"""What a trained organism is held to: reconstructions of images it never saw."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor
from torch.nn import functional

from companion.organism.captions import captions
from companion.organism.images import ROW, images
from companion.organism.words import Generation

if TYPE_CHECKING:
    from diffusers import AutoencoderKL

HELD_OUT_IMAGES, HELD_OUT_SEED = 500, 7
COLOUR_LIMIT = 0.1
"""The `colour_error` of a copy is below it, as it is for 99 % of what the second autoencoder gives back of
images, and for 60 % of what the first one does."""


def held_out_images(
    count: int = HELD_OUT_IMAGES, *, generation: Generation = 1
) -> Float[Tensor, "N 3 32 32"]:
    """Images of held-out captions in handwriting of MNIST's test split, which no training has seen."""
    unseen = captions(held_out=True, generation=generation)
    generator = torch.Generator().manual_seed(HELD_OUT_SEED)
    chosen = torch.randint(len(unseen), (count,), generator=generator).tolist()
    rows = torch.rand(count, ROW, generator=generator)
    return images([unseen[i] for i in chosen], rows, split="test")


@torch.no_grad()
def reconstruct(
    autoencoder: AutoencoderKL, x: Float[Tensor, "N 3 32 32"], *, chunk: int = 250
) -> Float[Tensor, "N 3 32 32"]:
    """Images decoded from the posterior means of their latents."""
    parts = [autoencoder.decode(autoencoder.encode(part).latent_dist.mean).sample for part in x.split(chunk)]
    return torch.cat(parts).clamp(-1, 1)


def psnr(x: Float[Tensor, "N 3 32 32"], rebuilt: Float[Tensor, "N 3 32 32"]) -> Float64[Tensor, " N"]:
    """Peak signal-to-noise ratio of each image in decibels; the peak is the range of [-1, 1]."""
    error = (x.double() - rebuilt.double()).square().flatten(1).mean(1)
    return 10 * (4 / error).log10()


@torch.no_grad()
def latent_scale(autoencoder: AutoencoderKL, x: Float[Tensor, "N 3 32 32"]) -> float:
    """The factor that brings the latents of `x` to unit variance (Rombach et al. 2022, appendix G)."""
    means = torch.cat([autoencoder.encode(part).latent_dist.mean for part in x.split(250)])
    return float(1 / means.double().std())


def as_mnist(x: Float[Tensor, "N 3 32 32"]) -> Float[Tensor, "N 1 28 28"]:
    """The ink of coloured images, white on black and centred as MNIST has it, for a classifier of MNIST."""
    return _centred(ink_of(x).float()[:, None]) * 2 - 1


def ink_of(x: Float[Tensor, "N 3 32 32"]) -> Float64[Tensor, "N 32 32"]:
    """How far each pixel lies from the ground, from 0 to 1.

    The ground is a plane in each channel, fitted to the border; ink is what lies far from it in colour.
    """
    n, side = len(x), x.shape[-1]
    axis = torch.linspace(-1, 1, side, dtype=torch.float64)
    y_axis, x_axis = torch.meshgrid(axis, axis, indexing="ij")
    plane = torch.stack([torch.ones(side, side, dtype=torch.float64), x_axis, y_axis], dim=-1)
    border = torch.maximum(x_axis.abs(), y_axis.abs()) > 1 - 2.5 / side  # two pixels wide
    pixels = x.double().permute(2, 3, 0, 1).reshape(side, side, 3 * n)
    fitted = plane @ torch.linalg.lstsq(plane[border], pixels[border]).solution
    far = (pixels - fitted).view(side, side, n, 3).norm(dim=-1).permute(2, 0, 1)
    ink = (far / far.flatten(1).quantile(0.98, dim=1)[:, None, None]).clamp(0, 1)
    return torch.where(ink < 0.25, 0.0, ink)


def colour_error(
    x: Float[Tensor, "N 3 32 32"],
    true: Float[Tensor, "N 3 32 32"],
    where: Bool[Tensor, "32 32"] | None = None,
) -> Float64[Tensor, " N"]:
    """How far the colours of `x` are from those of `true`: the larger of the errors of ink and ground.

    Each is the root mean square over the channels, in [0, 1], of the difference of the mean colours in the
    pixels that are ink, or ground, of `true`.

    Args:
        x: images.
        true: images whose colours they should have, as many or one.
        where: the pixels that count; None counts all.
    """
    ink, difference = ink_of(true)[:, None], (x.double() - true.double()) / 2
    part = torch.ones(()) if where is None else where
    errors = []
    for mask in ((ink > 0.75) * part.double(), (ink == 0) * part.double()):
        mean = (difference * mask).sum((2, 3)) / mask.sum((2, 3)).clamp(min=1)
        errors.append(mean.square().mean(1).sqrt())
    return torch.maximum(*errors)


def _centred(ink: Float[Tensor, "N 1 32 32"]) -> Float[Tensor, "N 1 28 28"]:
    """Moved so that the centre of mass lies where MNIST has it: half a pixel off the centre, on average."""
    pixels = torch.arange(ink.shape[-1]) + 0.5
    mass = ink.sum((1, 2, 3)).clamp(min=1e-6)
    centre = torch.stack([(ink.sum(2) @ pixels)[:, 0] / mass, (ink.sum(3) @ pixels)[:, 0] / mass], dim=1)
    target = torch.arange(28) - 14
    place = (target + centre[:, :, None]) / (ink.shape[-1] / 2) - 1  # (N, 2, 28) for x and y
    grid = torch.stack(
        [place[:, 0, None, :].expand(-1, 28, -1), place[:, 1, :, None].expand(-1, -1, 28)], dim=-1
    )
    return functional.grid_sample(ink, grid, align_corners=False)
