"""Tiny random CLIP and DINOv2, saved as transformers saves them."""

from __future__ import annotations

from pathlib import Path

import torch
import transformers

from ...memlib.text_to_image.conftest import LIMIT, write_tokenizer

SIDE = 16
IMAGES = {"size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}}


def write_clip(folder: Path) -> Path:
    words = write_tokenizer(folder)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    ends = {"bos_token_id": words - 2, "eos_token_id": words - 1, "pad_token_id": words - 1}
    config = transformers.CLIPConfig(
        text_config={"vocab_size": words, "max_position_embeddings": LIMIT, **sizes, **ends},
        vision_config={"image_size": SIDE, "patch_size": 4, **sizes},
        projection_dim=12,
        initializer_factor=5.0,
    )
    _save(transformers.CLIPModel, config, folder)
    transformers.CLIPImageProcessorPil(**IMAGES).save_pretrained(folder)
    return folder


def write_dino(folder: Path) -> Path:
    config = transformers.Dinov2Config(
        image_size=2 * SIDE,  # as published: positions are interpolated to smaller images
        patch_size=4,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        initializer_range=0.5,
    )
    _save(transformers.Dinov2Model, config, folder)
    transformers.BitImageProcessorPil(**IMAGES).save_pretrained(folder)
    return folder


def _save(kind, config, folder: Path) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        kind(config).save_pretrained(folder)
