"""Training sets on disk."""

import json

import numpy as np
import pytest
from PIL import Image


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
