"""The networks: Stable Diffusion's own parts from diffusers and transformers, at small sizes.

Each is wrapped together with the configuration that determines it, as `companion.fitting.loop` wants it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from companion.organism.caption import SIZE
from companion.organism.tokenizer import LENGTH
from memlib.schedule import Prediction
from memlib.text_to_image.libraries import libraries

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextModel

LATENT_CHANNELS, LATENT_SIZE = 4, SIZE // 4
STEPS, FIRST_BETA, LAST_BETA = 1000, 8.5e-4, 1.2e-2
DIFFUSERS_NAME: dict[Prediction, str] = {"epsilon": "epsilon", "v": "v_prediction"}


@dataclass(frozen=True)
class AutoencoderConfig:
    """Sizes of the autoencoder: `channels` at 32, 16 and 8 pixels a side."""

    channels: tuple[int, int, int] = (24, 48, 64)


class Autoencoder(nn.Module):
    """Images `(B, 3, 32, 32)` in [-1, 1] to latents `(B, 4, 8, 8)` and back (diffusers' `AutoencoderKL`)."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        diffusers, _ = libraries()
        self.config = config
        self.model: AutoencoderKL = diffusers.AutoencoderKL(
            block_out_channels=config.channels,
            down_block_types=["DownEncoderBlock2D"] * 3,
            up_block_types=["UpDecoderBlock2D"] * 3,
            latent_channels=LATENT_CHANNELS,
            norm_num_groups=8,
            sample_size=SIZE,
            mid_block_add_attention=False,
        )

    def take_weights(self, autoencoder: AutoencoderKL) -> None:
        """Set the weights to those of an autoencoder of the same sizes."""
        self.model.load_state_dict(autoencoder.state_dict())

    def loss(self, x: Float[Tensor, "B 3 32 32"], generator: torch.Generator, divergence: float) -> Tensor:
        """Squared error of the reconstruction plus `divergence` times the KL divergence, a latent number."""
        posterior = self.model.encode(x).latent_dist
        noise = torch.randn(posterior.mean.shape, generator=generator).to(x.device)
        rebuilt = self.model.decode(posterior.mean + posterior.std * noise).sample
        per_number = posterior.kl().mean() / posterior.mean[0].numel()
        loss: Tensor = (rebuilt - x).square().mean() + divergence * per_number
        return loss


@dataclass(frozen=True)
class TextToImageConfig:
    """Sizes of U-Net and text encoder.

    Attributes:
        channels: the numbers of channels of the U-Net, at 8 and 4 latents a side.
        width: the width of the text encoder's states, which the U-Net's cross-attention reads.
        layers: the number of layers of the text encoder.
        vocabulary: tokens of the tokenizer.
    """

    channels: tuple[int, int] = (48, 96)
    width: int = 64
    layers: int = 2
    vocabulary: int = 797


class TextToImage(nn.Module):
    """Noisy latents, times and tokens to a prediction: CLIP's text encoder and a U-Net that attends to it."""

    def __init__(self, config: TextToImageConfig) -> None:
        super().__init__()
        diffusers, transformers = libraries()
        self.config = config
        text = transformers.CLIPTextConfig(
            vocab_size=config.vocabulary,
            hidden_size=config.width,
            intermediate_size=4 * config.width,
            projection_dim=config.width,
            num_hidden_layers=config.layers,
            num_attention_heads=4,
            max_position_embeddings=LENGTH,
            bos_token_id=config.vocabulary - 2,
            eos_token_id=config.vocabulary - 1,
            pad_token_id=config.vocabulary - 1,
        )
        self.text_encoder: CLIPTextModel = transformers.CLIPTextModel(text)
        self.unet: UNet2DConditionModel = diffusers.UNet2DConditionModel(
            sample_size=LATENT_SIZE,
            in_channels=LATENT_CHANNELS,
            out_channels=LATENT_CHANNELS,
            block_out_channels=config.channels,
            layers_per_block=1,
            down_block_types=["CrossAttnDownBlock2D", "DownBlock2D"],
            up_block_types=["UpBlock2D", "CrossAttnUpBlock2D"],
            cross_attention_dim=config.width,
            attention_head_dim=4,
            norm_num_groups=8,
        )

    def forward(
        self, x: Float[Tensor, "B 4 8 8"], t: Int64[Tensor, " B"], tokens: Int64[Tensor, "B L"]
    ) -> Float[Tensor, "B 4 8 8"]:
        """What the U-Net predicts of noisy latents `x` at times `t` under captions `tokens`."""
        states = self.text_encoder(tokens).last_hidden_state
        prediction: Tensor = self.unet(x, t, encoder_hidden_states=states).sample
        return prediction

    def take_weights(self, pipeline: StableDiffusionPipeline) -> None:
        """Set the weights to those of a pipeline of the same sizes."""
        self.text_encoder.load_state_dict(pipeline.text_encoder.state_dict())
        self.unet.load_state_dict(pipeline.unet.state_dict())


def scheduler(prediction: Prediction) -> DDIMScheduler:
    """Stable Diffusion's noise schedule with DDIM, `prediction` "epsilon" (1.x) or "v" (2.x)."""
    if prediction not in DIFFUSERS_NAME:
        raise ValueError(f"prediction must be one of {list(DIFFUSERS_NAME)}, got {prediction!r}")
    options: dict[str, Any] = {
        "num_train_timesteps": STEPS,
        "beta_schedule": "scaled_linear",
        "beta_start": FIRST_BETA,
        "beta_end": LAST_BETA,
        "clip_sample": False,
        "set_alpha_to_one": False,
        "steps_offset": 1,
        "prediction_type": DIFFUSERS_NAME[prediction],
    }
    diffusers, _ = libraries()
    made: DDIMScheduler = diffusers.DDIMScheduler(**options)
    return made
