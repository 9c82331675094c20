"""Fine-tunes of a model organism, with all weights of its U-Net or by LoRA, written as files."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from companion.fine_tuning.training_sets import FineTuneSet
from companion.fitting.loop import FitConfig
from companion.organism.folder import pipeline, save_pipeline
from companion.organism.parts import TextToImage, TextToImageConfig
from companion.organism.training import captioned_latents, train_text_to_image
from companion.recipes.organism import AUTOENCODER, ORGANISM_EPSILON
from memlib.text_to_image import TextToImage as TextToImageModel

ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
"""Layers that diffusers' own script for LoRA adapts."""
EVERYWHERE = (*ATTENTION, "proj_in", "proj_out", "conv1", "conv2", "conv", "ff.net.0.proj", "ff.net.2")
"""These and all convolutions and feed-forward layers, which a small U-Net needs to learn anything."""


@dataclass(frozen=True)
class FineTune:
    """How an organism is fine-tuned; its text encoder stays as it is.

    Attributes:
        steps: the number of training steps (Adam).
        batch: the number of entries of a step.
        learning_rate: the largest.
        rank: of a LoRA; None trains all weights of the U-Net.
        layers: that a LoRA changes, by the ends of their names.
        seed: of every draw.
    """

    steps: int
    batch: int
    learning_rate: float
    rank: int | None = None
    layers: tuple[str, ...] = EVERYWHERE
    seed: int = 0


def fine_tune(data: FineTuneSet, how: FineTune, to: Path) -> Path:
    """Fine-tune `organism_epsilon` and write what it became.

    Args:
        data: what is shown.
        how: by what training.
        to: a new folder; a LoRA is written as `lora.safetensors` there.

    Returns:
        What `memlib audit --model` takes: the folder of a pipeline, or the file of a LoRA.
    """
    network = TextToImage(TextToImageConfig())
    network.take_weights(ORGANISM_EPSILON.load().pipeline)
    network.requires_grad_(False)
    network.text_encoder.eval()
    if how.rank is None:
        network.unet.requires_grad_(True)
    else:
        _adapt(network, how)
    config = FitConfig(how.steps, how.batch, how.learning_rate, warmup=20, average_decay=0.0, seed=how.seed)
    autoencoder = AUTOENCODER.load().network
    trained = train_text_to_image(
        network, captioned_latents(autoencoder, data.pairs), "epsilon", config, data=asdict(how)
    ).network
    to.mkdir(parents=True, exist_ok=True)
    parts: Any = pipeline(trained, autoencoder, "epsilon")  # type: ignore[arg-type]  # the same class
    if how.rank is None:
        save_pipeline(to, parts, {"about": "a fine-tune of organism_epsilon", "training": asdict(how)})
        return to
    from peft.utils import get_peft_model_state_dict

    parts.save_lora_weights(to, get_peft_model_state_dict(parts.unet), weight_name="lora.safetensors")
    return to / "lora.safetensors"


def loaded(tuned: Path, *, device: str = "cpu") -> TextToImageModel:
    """A fine-tune as `fine_tune` wrote it, as `memlib audit` reads it."""
    if tuned.is_dir():
        return TextToImageModel.load(tuned, device=device)
    return TextToImageModel.load(ORGANISM_EPSILON.folder, device=device, lora=tuned)


def _adapt(network: TextToImage, how: FineTune) -> None:
    """Add a LoRA to the U-Net; its weights alone are trained."""
    from peft import LoraConfig

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(how.seed)
        network.unet.add_adapter(
            LoraConfig(
                r=how.rank, lora_alpha=how.rank, target_modules=list(how.layers), init_lora_weights="gaussian"
            )
        )
