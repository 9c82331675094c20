"""Training sets on disk, and a model beside its base."""

import copy
import json

import numpy as np
import pytest
import torch
from PIL import Image

from memlib.text_to_image import TextToImage

from ..text_to_image.conftest import folders, kind, models

__all__ = ["folders", "kind", "models"]


def picture(seed, size=(24, 20)):
    """Smooth random colours, as photographs have them."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


@pytest.fixture
def folder(tmp_path):
    """Three images in two folders, without captions."""
    home = tmp_path / "images"
    (home / "more").mkdir(parents=True)
    for k, name in enumerate(("a.png", "b.JPG", "more/c.webp")):
        picture(k).save(home / name)
    return home


def beside(home, texts):
    for name, text in texts.items():
        (home / name).with_suffix(".txt").write_text(text, encoding="utf-8")


def lines(home, rows, name="metadata.jsonl"):
    (home / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return home / name


@pytest.fixture
def fine_tuned(models):
    """A tiny pipeline in float64 and another of which only some weights of the denoiser have moved."""
    base = models["epsilon", torch.float64]
    pipeline = copy.copy(base.pipeline)
    pipeline.register_modules(unet=copy.deepcopy(base.pipeline.unet))
    with torch.no_grad():
        generator = torch.Generator().manual_seed(0)
        for name, weight in pipeline.unet.named_parameters():
            if "attn2" in name:
                weight.add_(torch.randn(weight.shape, generator=generator, dtype=weight.dtype), alpha=0.3)
    return TextToImage(pipeline, "the fine-tune"), base
