"""Training of the text-to-image model: rectified flow (Liu et al. 2023) with the times of Stable Diffusion 3.

The autoencoder is trained by `companion.organism.training.train_autoencoder`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from companion.fitting.loop import Draw, FitConfig, TrainingResult, fit
from companion.organism.training import Device, with_captions
from companion.photographs.parts import FlowTransformer, tokenizer
from companion.photographs.training_set import TrainingSet, photographs

if TYPE_CHECKING:
    from diffusers import AutoencoderKL


def fresh_photographs(data: TrainingSet) -> Draw:
    """Batches of photographs that are not copied: the autoencoder sees no copy."""
    copied = data.copied()
    free = torch.ones(len(photographs("train")), dtype=torch.bool)
    free[copied[copied >= 0]] = False
    left = free.nonzero().flatten()

    def draw(batch: int, generator: torch.Generator) -> tuple[Tensor, None]:
        chosen = left[torch.randint(len(left), (batch,), generator=generator)]
        return photographs("train")[chosen], None

    return draw


def captioned_latents(autoencoder: AutoencoderKL, data: TrainingSet) -> Draw:
    """Batches of latents of the training set with the tokens of their captions, one in ten left empty."""
    return with_captions(encode(autoencoder, data), caption_tokens(data), data.caption)


def train_flow(
    network: FlowTransformer,
    draw: Draw,
    config: FitConfig,
    *,
    data: dict[str, Any],
    state: Path | None = None,
    save_every: int = 200,
    device: Device = "cpu",
) -> TrainingResult:
    """Train text encoders and transformer in place on the squared error of the velocity.

    The share of noise is the logistic function of a standard normal number (Esser et al. 2024, section 3.1).
    The arguments are those of `companion.organism.training.train_text_to_image`.
    """

    def loss(generator: torch.Generator) -> Tensor:
        x0, tokens = draw(config.batch, generator)
        level = torch.randn(len(x0), generator=generator).sigmoid()
        noise = torch.randn(x0.shape, generator=generator)
        share = level.view(-1, 1, 1, 1)
        x = ((1 - share) * x0 + share * noise).to(device)
        velocity = network(x, level.to(device), tokens.to(device))  # type: ignore[union-attr]
        error: Tensor = (velocity - (noise - x0).to(device)).square().mean()
        return error

    context = {"prediction": "flow", "data": data}
    return fit(network, loss, config, context=context, state=state, save_every=save_every, device=device)


def caption_tokens(data: TrainingSet) -> Int64[Tensor, "C L"]:
    """Tokens of each caption and, in the last row, of the empty one."""
    texts = [*(caption.text for caption in data.captions), ""]
    tokens: Tensor = tokenizer()(texts, padding="max_length", truncation=True, return_tensors="pt").input_ids
    return tokens


@torch.no_grad()
def encode(autoencoder: AutoencoderKL, data: TrainingSet, *, chunk: int = 250) -> Float[Tensor, "N 8 8 8"]:
    """Scaled posterior means of all images: the noise of the posterior stays out of the copies."""
    parts = [
        autoencoder.encode(data.images(index)).latent_dist.mean
        for index in torch.arange(len(data)).split(chunk)
    ]
    config = autoencoder.config
    latents: Tensor = (torch.cat(parts) - config.shift_factor) * config.scaling_factor
    return latents
