"""What a text-to-image model consists of; its text encoder and autoencoder at work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from memlib import checks
from memlib.schedule import Prediction, VariancePreserving
from memlib.text_to_image.prompts import Prompts, encode

_IMAGES = 8  # images per pass of the autoencoder


@dataclass(frozen=True, eq=False, repr=False)
class Parts:
    """A latent diffusion model with its text encoder and autoencoder.

    Attributes:
        source: where it came from.
        vae: diffusers' `AutoencoderKL`.
        tokenizer: transformers' `CLIPTokenizer`.
        text_encoder: transformers' `CLIPTextModel`.
        unet: diffusers' `UNet2DConditionModel`.
        scheduler: diffusers' `DDIMScheduler` with the model's noise levels, for the times of sampling.
        schedule: the same noise levels.
        prediction: what the U-Net predicts.
    """

    source: str
    vae: Any
    tokenizer: Any
    text_encoder: Any
    unet: Any
    scheduler: Any
    schedule: VariancePreserving
    prediction: Prediction

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self.source!r}, predicts {self.prediction}, latents {self.sample_shape})"
        )

    @property
    def device(self) -> torch.device:
        """Where the networks run."""
        device: torch.device = self.unet.conv_in.weight.device
        return device

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the networks and of the points they take."""
        dtype: torch.dtype = self.unet.conv_in.weight.dtype  # diffusers' own property walks all weights
        return dtype

    @property
    def sample_shape(self) -> tuple[int, int, int]:
        """Shape of one latent, `(channels, height, width)`."""
        side = self.unet.config.sample_size
        height, width = (side, side) if isinstance(side, int) else side
        return self.unet.config.in_channels, height, width

    def encode(self, captions: Sequence[str]) -> Prompts:
        """Captions as the text encoder sees them; too long ones are cut, reported and warned of."""
        return encode(self.tokenizer, self.text_encoder, captions)

    @cached_property
    def empty(self) -> Prompts:
        """The empty caption, which stands for no condition."""
        return self.encode([""])

    @torch.no_grad()
    def decode(self, latents: Float[Tensor, "B ..."]) -> Float[Tensor, "B 3 H W"]:
        """Images in [0, 1], float32."""
        checks.batched("latents", latents, self.sample_shape)
        scaled = latents.to(self.dtype) / self.vae.config.scaling_factor
        parts = torch.split(scaled, _IMAGES)
        images = torch.cat([self.vae.decode(part, return_dict=False)[0] for part in parts])
        return (images.float() / 2 + 0.5).clamp(0, 1)

    @torch.no_grad()
    def latents(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B ..."]:
        """Latents of images in [0, 1]: the mean of the autoencoder's posterior, in the model's dtype."""
        checks.batched("images", images)
        pixels = (2 * images - 1).to(self.device, self.dtype)
        means = [self.vae.encode(part).latent_dist.mode() for part in torch.split(pixels, _IMAGES)]
        found: Tensor = torch.cat(means) * self.vae.config.scaling_factor
        return found
