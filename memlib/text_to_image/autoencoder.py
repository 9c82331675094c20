"""Latents to images and back, as a pipeline scales, shifts and packs them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from memlib import checks

if TYPE_CHECKING:
    from memlib.text_to_image.model import TextToImage

_TOGETHER = 8  # images per pass


@torch.no_grad()
def decode(model: TextToImage, latents: Float[Tensor, "B ..."]) -> Float[Tensor, "B 3 H W"]:
    """See `TextToImage.decode`."""
    checks.batched("latents", latents, model.sample_shape)
    images = latents
    if model.vae is not None:
        if packed(model):
            latents = model.pipeline._unpack_latents(latents, *_sides(model), model.pipeline.vae_scale_factor)
        scale, shift = _scale(model)
        scaled = latents.to(model.vae.dtype) / scale + shift
        parts = torch.split(scaled, _TOGETHER)
        images = torch.cat([model.vae.decode(part, return_dict=False)[0] for part in parts])
    if not torch.isfinite(images).all():
        raise FloatingPointError(
            f"the autoencoder gives NaN or infinity in {images.dtype}; run it in float32: "
            "vae_dtype=torch.float32 (--vae-dtype float32)"
        )
    return (images.float() / 2 + 0.5).clamp(0, 1)


@torch.no_grad()
def encode(model: TextToImage, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B ..."]:
    """See `TextToImage.latents`."""
    checks.batched("images", images)
    found = (2 * images - 1).to(model.device, model.dtype if model.vae is None else model.vae.dtype)
    if model.vae is not None:
        scale, shift = _scale(model)
        told = [model.vae.encode(part) for part in torch.split(found, _TOGETHER)]
        means = [one.latent_dist.mode() if hasattr(one, "latent_dist") else one.latent for one in told]
        found = (torch.cat(means) - shift) * scale
        if packed(model):
            found = model.pipeline._pack_latents(found, *found.shape)
    return found.to(model.dtype)


def packed(model: TextToImage) -> bool:
    """Whether points are sequences of patches."""
    return len(model.sample_shape) == 2


def _scale(model: TextToImage) -> tuple[float, float]:
    vae: Any = model.vae
    config = vae.config
    return config.scaling_factor, (config.get("shift_factor") or 0.0) if model.family.shift else 0.0


def _sides(model: TextToImage) -> tuple[int, int]:
    side: int = model.pipeline.default_sample_size * model.pipeline.vae_scale_factor
    return side, side
