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
LIMIT = 77  # tokens of a caption in Stable Diffusion
FULL_SIZE = "Stable Diffusion 1.4, random weights"
FLOW = "Stable Diffusion 3.5 medium, random weights"
TINY, TINY_FLOW = "tiny", "tiny flow"


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


def screening(
    network: str, prompts: int, seeds: int, device: str, dtype: torch.dtype = torch.float32
) -> Screening:
    """The number of prompts and seeds, and a model that `load` knows."""
    model = load(network, device, dtype)
    known = [caption.text for caption in captions()]
    stride = max(1, len(known) // prompts)
    texts = list(islice(cycle(known[::stride]), prompts))
    return Screening(model, texts, model.noise(seeds, torch.Generator().manual_seed(0)))


def load(network: str, device: str, dtype: torch.dtype = torch.float32) -> TextToImage:
    """A shipped model by name, any by its folder, or one with random weights, made on the device."""
    if network not in RANDOM:
        return TextToImage.load(data_root() / "checkpoints" / network, device=device, dtype=dtype)
    before = torch.get_default_dtype()
    try:
        torch.set_default_dtype(dtype)
        with torch.random.fork_rng(), torch.device(device):
            torch.manual_seed(0)
            pipeline = RANDOM[network]()
    finally:
        torch.set_default_dtype(before)
    for part in pipeline.components.values():
        if isinstance(part, torch.nn.Module):
            part.eval().requires_grad_(False)
    pipeline.set_progress_bar_config(disable=True)
    return TextToImage(pipeline, network)


def described(network: str) -> str:
    """The model's name, and the hash of the U-Net's weights where they are from a file."""
    if network in RANDOM:
        return network
    weights = data_root() / "checkpoints" / network / "unet" / "diffusion_pytorch_model.safetensors"
    return f"{network} {sha256(weights)}"


def _u_net(unet: Any, text_encoder: Any) -> Any:
    """Stable Diffusion's pipeline around its two networks."""
    with torch.no_grad():  # at their initial scale the layers of text hardly move the output
        for name, weight in unet.named_parameters():
            if "attn2.to_" in name:
                weight.mul_(4)
    diffusers, _ = libraries()
    return diffusers.StableDiffusionPipeline(
        vae=None,
        tokenizer=_words(text_encoder.config.max_position_embeddings),
        text_encoder=text_encoder,
        unet=unet,
        scheduler=scheduler("epsilon"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _words(limit: int = LIMIT) -> Any:
    words = tokenizer()
    words.model_max_length = limit
    return words


def _text(kind: str, width: int) -> Any:
    """A text encoder of one layer instead of a dozen: it runs once for each prompt and is not timed."""
    _, transformers = libraries()
    vocabulary = TextToImageConfig().vocabulary
    config = transformers.CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=1,
        num_attention_heads=max(1, width // 64),
        max_position_embeddings=LIMIT,
        projection_dim=width,
        bos_token_id=vocabulary - 2,
        eos_token_id=vocabulary - 1,
        pad_token_id=vocabulary - 1,
    )
    return getattr(transformers, kind)(config)


def _tiny() -> Any:
    made = Networks(TextToImageConfig(channels=(8, 16), width=16, layers=1))
    return _u_net(made.unet, made.text_encoder)


def _full_size() -> Any:
    """The U-Net with the sizes of Stable Diffusion 1.4, 860 million weights, and a text encoder as wide."""
    diffusers, _ = libraries()
    unet = diffusers.UNet2DConditionModel(
        sample_size=64,
        cross_attention_dim=768,
        attention_head_dim=8,
        block_out_channels=(320, 640, 1280, 1280),
    )
    return _u_net(unet, _text("CLIPTextModel", 768))


def _flow(widths: tuple[int, int] = (768, 1280), **sizes: Any) -> Any:
    """The transformer with the sizes of Stable Diffusion 3.5 medium, 2.5 billion weights, without a T5."""
    diffusers, _ = libraries()
    sizes = {
        "sample_size": 128,
        "num_layers": 24,
        "attention_head_dim": 64,
        "num_attention_heads": 24,
        "joint_attention_dim": 4096,
        "caption_projection_dim": 1536,
        "dual_attention_layers": tuple(range(13)),
        "pos_embed_max_size": 384,
    } | sizes
    first, second = (_text("CLIPTextModelWithProjection", width) for width in widths)
    return diffusers.StableDiffusion3Pipeline(
        transformer=diffusers.SD3Transformer2DModel(
            patch_size=2,
            in_channels=16,
            out_channels=16,
            pooled_projection_dim=sum(widths),
            qk_norm="rms_norm",
            **sizes,
        ),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=None,
        text_encoder=first,
        tokenizer=_words(),
        text_encoder_2=second,
        tokenizer_2=_words(),
        text_encoder_3=None,
        tokenizer_3=None,
    )


_TINY_SIZES: dict[str, Any] = {
    "sample_size": 4,
    "num_layers": 2,
    "attention_head_dim": 8,
    "num_attention_heads": 2,
    "joint_attention_dim": 32,
    "caption_projection_dim": 16,
    "dual_attention_layers": (0,),
    "pos_embed_max_size": 8,
}
RANDOM: dict[str, Callable[[], Any]] = {
    TINY: _tiny,
    FULL_SIZE: _full_size,
    TINY_FLOW: partial(_flow, (16, 16), **_TINY_SIZES),
    FLOW: _flow,
}


def prepared(
    network: str,
    prompts: int,
    seeds: int,
    device: str,
    call: Callable[..., Any],
    dtype: torch.dtype = torch.float32,
) -> Callable[[], Any]:
    """`call(screening)` after one pass for warmth, for a process of its own."""
    some = screening(network, prompts, seeds, device, dtype)
    with torch.no_grad():
        some.model.difference(some.model.timesteps()[0], some.prompts[:1])(some.noise)
    return partial(call, some)
