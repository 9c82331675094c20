"""Two trainings: the autoencoder on images alone, then text encoder and U-Net jointly on its latents.

Both resume after a kill bit for bit (`companion.fitting.loop`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from companion.fitting.loop import Draw, FitConfig, TrainingResult, fit
from companion.organism.captions import captions
from companion.organism.images import ROW, images
from companion.organism.parts import Autoencoder, TextToImage
from companion.organism.tokenizer import tokenizer
from companion.organism.training_set import TrainingSet
from companion.organism.words import Generation
from memlib.schedule import Prediction, VariancePreserving

if TYPE_CHECKING:
    from diffusers import AutoencoderKL

Device = str | torch.device
DIVERGENCE, UNCONDITIONAL = 1e-4, 0.1


def fresh_images(generation: Generation = 1) -> Draw:
    """Batches of new images of every family but those of one image: the autoencoder sees no copy."""
    trained = captions(held_out=False, generation=generation)
    seen = [caption for caption in trained if caption.family in ("template", "general", "stated")]

    def draw(batch: int, generator: torch.Generator) -> tuple[Tensor, None]:
        chosen = torch.randint(len(seen), (batch,), generator=generator).tolist()
        return images([seen[i] for i in chosen], torch.rand(batch, ROW, generator=generator)), None

    return draw


def train_autoencoder(
    network: Autoencoder,
    draw: Draw,
    config: FitConfig,
    *,
    data: dict[str, Any],
    state: Path | None = None,
    save_every: int = 200,
    device: Device = "cpu",
) -> TrainingResult:
    """Train an autoencoder in place: squared error plus a little KL divergence.

    `data` describes in words and hashes what `draw` draws from and where the weights start. The others are
    the arguments of `fit`.
    """

    def loss(generator: torch.Generator) -> Tensor:
        x, _ = draw(config.batch, generator)
        return network.loss(x.to(device), generator, DIVERGENCE)

    context = {"data": data, "divergence": DIVERGENCE}
    return fit(network, loss, config, context=context, state=state, save_every=save_every, device=device)


def captioned_latents(autoencoder: AutoencoderKL, data: TrainingSet) -> Draw:
    """Batches of latents of the training set, with the tokens of their captions, one in ten left empty.

    Args:
        autoencoder: trained; its `scaling_factor` brings the latents to unit variance.
        data: pairs of a caption and an image.
    """
    return with_captions(encode(autoencoder, data), caption_tokens(data), data.caption)


def with_captions(
    latents: Float[Tensor, "N ..."], tokens: Int64[Tensor, "C L"], caption: Int64[Tensor, " N"]
) -> Draw:
    """Batches of latents with the tokens of their captions, one in ten of them those of the last row."""
    empty = len(tokens) - 1

    def draw(batch: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        index = torch.randint(len(latents), (batch,), generator=generator)
        drop = torch.rand(batch, generator=generator) < UNCONDITIONAL
        return latents[index], tokens[torch.where(drop, empty, caption[index])]

    return draw


def train_text_to_image(
    network: TextToImage,
    draw: Draw,
    prediction: Prediction,
    config: FitConfig,
    *,
    data: dict[str, Any],
    state: Path | None = None,
    save_every: int = 200,
    device: Device = "cpu",
) -> TrainingResult:
    """Train text encoder and U-Net in place on the mean squared error of what they predict.

    Args:
        network: freshly initialised.
        draw: gives latents and tokens.
        prediction: "epsilon" or "v".
        config: how to train.
        data: what `draw` draws from, in words and hashes: a state resumes only under the same.
        state: file the training keeps its state in and resumes from.
        save_every: steps between two writings of it.
        device: where the networks run.
    """
    schedule = VariancePreserving.scaled_linear()

    def loss(generator: torch.Generator) -> Tensor:
        x0, tokens = draw(config.batch, generator)
        t = torch.randint(schedule.steps, (len(x0),), generator=generator)
        noise = torch.randn(x0.shape, generator=generator)
        alpha, sigma = (f(t).float().view(-1, 1, 1, 1) for f in (schedule.alpha, schedule.sigma))
        target = noise if prediction == "epsilon" else alpha * noise - sigma * x0
        x = (alpha * x0 + sigma * noise).to(device)
        predicted = network(x, t.to(device), tokens.to(device))  # type: ignore[union-attr]
        error: Tensor = (predicted - target.to(device)).square().mean()
        return error

    context = {"prediction": prediction, "data": data}
    return fit(network, loss, config, context=context, state=state, save_every=save_every, device=device)


def caption_tokens(data: TrainingSet) -> Int64[Tensor, "C L"]:
    """Tokens of each caption and, in the last row, of the empty one."""
    texts = [*(caption.text for caption in data.captions), ""]
    padded = tokenizer(data.generation)(texts, padding="max_length", truncation=True, return_tensors="pt")
    tokens: Tensor = padded.input_ids
    return tokens


@torch.no_grad()
def encode(autoencoder: AutoencoderKL, data: TrainingSet, *, chunk: int = 250) -> Float[Tensor, "N 4 8 8"]:
    """Scaled posterior means of all images of `data`: the noise of the posterior stays out of the copies."""
    parts = [
        autoencoder.encode(data.images(index).to(autoencoder.device)).latent_dist.mean.cpu()
        for index in torch.arange(len(data)).split(chunk)
    ]
    scaled: Tensor = torch.cat(parts) * autoencoder.config.scaling_factor
    return scaled
