"""The text-to-image models that are timed: the shipped model organism, a tiny one, one of full size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import cycle, islice
from typing import Any

import torch
from torch import Tensor

from companion.organism.captions import captions
from companion.organism.parts import TextToImage as Networks
from companion.organism.parts import TextToImageConfig, scheduler
from companion.organism.tokenizer import tokenizer
from companion.paths import data_root
from memlib.files import sha256
from memlib.text_to_image import Prompts, TextToImage
from memlib.text_to_image.libraries import libraries

FIRST = 981  # the first of 50 steps
FULL_SIZE = "Stable Diffusion 1.4, random weights"
TINY = "tiny"


@dataclass(frozen=True)
class Screening:
    """Prompts to be screened with a model, from noise that they share.

    Attributes:
        model: the text-to-image model.
        texts: captions of the organism, evenly from all families, again where more are wanted than there are.
        noise: `(n, *sample_shape)`.
    """

    model: TextToImage
    texts: list[str]
    noise: Tensor

    @cached_property
    def prompts(self) -> Prompts:
        """The captions, encoded."""
        return self.model.encode(self.texts)


def screening(network: str, prompts: int, seeds: int, device: str) -> Screening:
    """The number of prompts and seeds, and a model that `load` knows."""
    model = load(network, device)
    known = [caption.text for caption in captions()]
    stride = max(1, len(known) // prompts)
    texts = list(islice(cycle(known[::stride]), prompts))
    return Screening(model, texts, model.noise(seeds, torch.Generator().manual_seed(0)))


def load(network: str, device: str) -> TextToImage:
    """A shipped model by name, any by its folder, `TINY` or `FULL_SIZE` with random weights."""
    if network not in RANDOM:
        return TextToImage.load(data_root() / "checkpoints" / network, device=device)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        unet, text_encoder, limit = RANDOM[network]()
    with torch.no_grad():  # at their initial scale the layers of text hardly move the output
        for name, weight in unet.named_parameters():
            if "attn2.to_" in name:
                weight.mul_(4)
    words = tokenizer()
    words.model_max_length = limit
    diffusers, _ = libraries()
    pipeline = diffusers.StableDiffusionPipeline(
        vae=None,
        tokenizer=words,
        text_encoder=text_encoder.eval().requires_grad_(False).to(device),
        unet=unet.eval().requires_grad_(False).to(device),
        scheduler=scheduler("epsilon"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return TextToImage(pipeline, network)


def described(network: str) -> str:
    """The model's name, and the hash of the U-Net's weights where they are from a file."""
    if network in RANDOM:
        return network
    weights = data_root() / "checkpoints" / network / "unet" / "diffusion_pytorch_model.safetensors"
    return f"{network} {sha256(weights)}"


def _tiny() -> tuple[Any, Any, int]:
    made = Networks(TextToImageConfig(channels=(8, 16), width=16, layers=1))
    return made.unet, made.text_encoder, made.text_encoder.config.max_position_embeddings


def _full_size() -> tuple[Any, Any, int]:
    """The U-Net with the sizes of Stable Diffusion 1.4, 860 million weights, and a text encoder as wide.

    The text encoder has one layer instead of twelve: it runs once for each prompt and is not timed.
    """
    diffusers, transformers = libraries()
    unet = diffusers.UNet2DConditionModel(
        sample_size=64,
        cross_attention_dim=768,
        attention_head_dim=8,
        block_out_channels=(320, 640, 1280, 1280),
    )
    width, limit, vocabulary = 768, 77, TextToImageConfig().vocabulary
    text = transformers.CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=1,
        num_attention_heads=12,
        max_position_embeddings=limit,
        bos_token_id=vocabulary - 2,
        eos_token_id=vocabulary - 1,
        pad_token_id=vocabulary - 1,
    )
    return unet, transformers.CLIPTextModel(text), limit


RANDOM: dict[str, Callable[[], tuple[Any, Any, int]]] = {TINY: _tiny, FULL_SIZE: _full_size}


def prepared(
    network: str, prompts: int, seeds: int, device: str, call: Callable[..., Any]
) -> Callable[[], Any]:
    """`call(screening)` after one pass for warmth, for a process of its own."""
    some = screening(network, prompts, seeds, device)
    with torch.no_grad():
        some.model.difference(FIRST, some.prompts[:1])(some.noise)
    return partial(call, some)
