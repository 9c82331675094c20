"""The networks: Stable Diffusion 3's own parts from diffusers and transformers, at small sizes.

Each is wrapped together with the configuration that determines it, as `companion.fitting.loop` wants it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from companion.organism.parts import Autoencoder
from companion.organism.tokenizer import LENGTH, tokenizer_of
from companion.photographs.captions import all_words
from memlib.text_to_image.libraries import libraries

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, SD3Transformer2DModel, StableDiffusion3Pipeline
    from transformers import CLIPTextModelWithProjection, CLIPTokenizer, T5EncoderModel

SIZE, LATENT_CHANNELS = 32, 8
LATENT_SIZE = SIZE // 4
STEPS = 1000
"""Times of the network at the noisiest point, where the share of noise is 1."""
SILENT = 256
"""Tokens of the third text encoder in a call of the pipeline without arguments; all are zero here."""


@dataclass(frozen=True)
class AutoencoderConfig:
    """Sizes of the autoencoder: `channels` at 32, 16 and 8 pixels a side."""

    channels: tuple[int, int, int] = (32, 64, 96)


class PhotographAutoencoder(Autoencoder):
    """Images `(B, 3, 32, 32)` in [-1, 1] to latents `(B, 8, 8, 8)` and back (diffusers' `AutoencoderKL`)."""

    def __init__(self, config: AutoencoderConfig) -> None:
        nn.Module.__init__(self)
        diffusers, _ = libraries()
        self.config = config  # type: ignore[assignment]
        self.model: AutoencoderKL = diffusers.AutoencoderKL(
            block_out_channels=config.channels,
            down_block_types=["DownEncoderBlock2D"] * 3,
            up_block_types=["UpDecoderBlock2D"] * 3,
            latent_channels=LATENT_CHANNELS,
            norm_num_groups=8,
            sample_size=SIZE,
            mid_block_add_attention=False,
            use_quant_conv=False,
            use_post_quant_conv=False,
        )


@dataclass(frozen=True)
class FlowConfig:
    """Sizes of the transformer and of both text encoders.

    Attributes:
        width: channels of a token of the transformer.
        heads: of its attention.
        depth: blocks of it.
        text_width: channels of a token of each text encoder.
        text_layers: of each of them.
    """

    width: int = 128
    heads: int = 4
    depth: int = 6
    text_width: int = 64
    text_layers: int = 2


class FlowTransformer(nn.Module):
    """Noisy latents, times and tokens to a velocity: two CLIP text encoders and SD 3's transformer."""

    def __init__(self, config: FlowConfig) -> None:
        super().__init__()
        diffusers, transformers = libraries()
        self.config = config
        words = len(tokenizer_of(all_words()))
        text = {
            "vocab_size": words,
            "hidden_size": config.text_width,
            "intermediate_size": 4 * config.text_width,
            "projection_dim": config.text_width,
            "num_hidden_layers": config.text_layers,
            "num_attention_heads": 4,
            "max_position_embeddings": LENGTH,
            "bos_token_id": words - 2,
            "eos_token_id": words - 1,
            "pad_token_id": words - 1,
        }
        encoder = transformers.CLIPTextModelWithProjection
        self.text_encoder: CLIPTextModelWithProjection = encoder(transformers.CLIPTextConfig(**text))
        self.text_encoder_2: CLIPTextModelWithProjection = encoder(transformers.CLIPTextConfig(**text))
        self.transformer: SD3Transformer2DModel = diffusers.SD3Transformer2DModel(
            sample_size=LATENT_SIZE,
            patch_size=2,
            in_channels=LATENT_CHANNELS,
            out_channels=LATENT_CHANNELS,
            num_layers=config.depth,
            attention_head_dim=config.width // config.heads,
            num_attention_heads=config.heads,
            joint_attention_dim=2 * config.text_width,
            caption_projection_dim=config.width,
            pooled_projection_dim=2 * config.text_width,
            pos_embed_max_size=LATENT_SIZE // 2,
            qk_norm="rms_norm",
        )

    def forward(
        self, x: Float[Tensor, "B 8 8 8"], level: Float[Tensor, " B"], tokens: Int64[Tensor, "B L"]
    ) -> Float[Tensor, "B 8 8 8"]:
        """The velocity, noise minus image, at latents `x` whose share of noise is `level`.

        The zero tokens of the third text encoder stay alike: here they are one token that counts `SILENT`
        times. Text is encoded as diffusers' `StableDiffusion3Pipeline` does.
        """
        found = [encoder(tokens, output_hidden_states=True) for encoder in self._encoders]
        states = torch.cat([one.hidden_states[-2] for one in found], dim=-1)
        silent = states.new_zeros(len(states), 1, states.shape[-1])
        with _last_token_counts(self.transformer, SILENT):
            velocity: Tensor = self.transformer(
                hidden_states=x,
                timestep=level * STEPS,
                encoder_hidden_states=torch.cat([states, silent], dim=1),
                pooled_projections=torch.cat([one.text_embeds for one in found], dim=-1),
            ).sample
        return velocity

    @property
    def _encoders(self) -> tuple[CLIPTextModelWithProjection, CLIPTextModelWithProjection]:
        return self.text_encoder, self.text_encoder_2


class _CountedAttention:
    """Joint attention of image and text in which the last token of the text counts several times.

    A key that occurs n times has n times its weight: log n added to its logit. Written out, because a bias
    makes torch's fused attention slow on processors.
    """

    def __init__(self, times: int) -> None:
        self.bias = math.log(times)

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        attention_mask: None = None,  # noqa: ARG002  # diffusers names it in every call
    ) -> tuple[Tensor, Tensor]:
        image = self._heads(attn, hidden_states, attn.to_q, attn.to_k, attn.to_v)
        text = self._heads(attn, encoder_hidden_states, attn.add_q_proj, attn.add_k_proj, attn.add_v_proj)
        norms = ((attn.norm_q, attn.norm_added_q), (attn.norm_k, attn.norm_added_k))
        normed = [
            torch.cat([own(a), added(b)], dim=2)
            for (own, added), a, b in zip(norms, image[:2], text[:2], strict=True)
        ]
        value = torch.cat([image[2], text[2]], dim=2)
        logits = normed[0] @ normed[1].transpose(-1, -2) / math.sqrt(value.shape[-1])
        bias = logits.new_zeros(logits.shape[-1])
        bias[-1] = self.bias
        mixed = (logits + bias).softmax(-1) @ value
        mixed = mixed.transpose(1, 2).flatten(2)
        of_image, of_text = mixed.split([hidden_states.shape[1], encoder_hidden_states.shape[1]], dim=1)
        of_text = of_text if attn.context_pre_only else attn.to_add_out(of_text)
        return attn.to_out[0](of_image), of_text

    @staticmethod
    def _heads(attn: Any, tokens: Tensor, *projections: nn.Module) -> list[Tensor]:
        return [project(tokens).unflatten(2, (attn.heads, -1)).transpose(1, 2) for project in projections]


@contextmanager
def _last_token_counts(transformer: SD3Transformer2DModel, times: int) -> Iterator[None]:
    own = transformer.attn_processors
    transformer.set_attn_processor(_CountedAttention(times))
    try:
        yield
    finally:
        transformer.set_attn_processor(own)


def silent_encoder(width: int) -> tuple[T5EncoderModel, Any]:
    """A third text encoder whose states are zero, with its tokenizer: the pipeline asks for one.

    The weight of its last normalisation is zero.
    """
    _, transformers = libraries()
    pieces = ["<pad>", "</s>", "<unk>", "\u2581"]
    tokenizer = transformers.T5Tokenizer(
        vocab=[(piece, -float(index)) for index, piece in enumerate(pieces)],
        extra_ids=0,
        model_max_length=SILENT,
    )
    config = transformers.T5Config(
        vocab_size=len(tokenizer), d_model=width, d_kv=8, d_ff=8, num_layers=1, num_heads=1
    )
    encoder: T5EncoderModel = transformers.T5EncoderModel(config)
    nn.init.zeros_(encoder.encoder.final_layer_norm.weight)
    return encoder, tokenizer


def pipeline(network: FlowTransformer, autoencoder: AutoencoderKL) -> StableDiffusion3Pipeline:
    """Stable Diffusion 3's pipeline around the parts; its scheduler takes Euler steps of even length."""
    diffusers, _ = libraries()
    third, tokenizer_3 = silent_encoder(2 * network.config.text_width)
    parts: StableDiffusion3Pipeline = diffusers.StableDiffusion3Pipeline(
        transformer=network.transformer,
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(num_train_timesteps=STEPS, shift=1.0),
        vae=autoencoder,
        text_encoder=network.text_encoder,
        tokenizer=tokenizer(),
        text_encoder_2=network.text_encoder_2,
        tokenizer_2=tokenizer(),
        text_encoder_3=third,
        tokenizer_3=tokenizer_3,
    )
    return parts


def tokenizer() -> CLIPTokenizer:
    """The tokenizer of captions of photographs, the same at every call."""
    return tokenizer_of(all_words())
