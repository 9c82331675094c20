"""Images that repeat are found, whatever was done to them; images that do not are kept apart."""

import io

import pytest
import torch
from PIL import Image, ImageEnhance

from companion.datasets import cifar10
from memlib.audit import duplicates
from memlib.audit.training_set import Example

from .conftest import picture


def example(folder, name, image, caption="x", **options):
    path = folder / name
    image.save(path, **options)
    return Example(name, path, caption)


def photographs(count):
    images, _ = cifar10.load("test")
    pixels = ((images[:count] + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
    return [Image.fromarray(one).resize((96, 96), Image.Resampling.BICUBIC) for one in pixels]


@pytest.fixture(scope="module")
def photos():
    return photographs(150)


def test_exact_copies_are_the_same_in_another_format_and_captions_are_counted(tmp_path):
    one, other = picture(0), picture(1)
    examples = [
        example(tmp_path, "a.png", one, "twice"),
        example(tmp_path, "b.bmp", one, "twice"),
        example(tmp_path, "c.png", other, "once"),
    ]
    found = duplicates.repetition(examples)
    assert found.copies == [2, 2, 1]
    assert found.images == [2, 2, 1]
    assert found.captions == [2, 2, 1]


@pytest.mark.parametrize("change", ["jpeg", "scaled", "brighter", "cropped"])
def test_changed_copies_of_photographs_are_grouped_and_different_ones_are_not(tmp_path, photos, change):
    def changed(image):
        match change:
            case "jpeg":
                kept = io.BytesIO()
                image.save(kept, "jpeg", quality=40)
                return Image.open(kept)
            case "scaled":
                return image.resize((64, 64), Image.Resampling.LANCZOS)
            case "brighter":
                return ImageEnhance.Brightness(image).enhance(1.15)
            case _:
                return image.crop((1, 1, 95, 95))

    originals = [example(tmp_path, f"{k}.png", image) for k, image in enumerate(photos)]
    copies = [example(tmp_path, f"copy{k}.png", changed(image)) for k, image in enumerate(photos[:30])]
    found = duplicates.repetition([*originals, *copies])
    grouped = found.group[:30] == found.group[150:]
    assert grouped.double().mean() >= 0.95
    assert (
        torch.bincount(found.group[:150]) > 1
    ).sum() <= 1  # the test split holds near-duplicates of its own
