"""Judges that need no download tell digits and images apart."""

import numpy as np
import pytest
import torch
from PIL import Image

from companion.comparison.encoders import as_pictures
from companion.comparison.small_encoders import DigitReader, Pixels, judges
from companion.organism.captions import captions
from companion.organism.quality import held_out_images


def test_a_caption_is_the_digit_that_it_names():
    texts = DigitReader().texts(["a photo of the digit Three, calm sea", "nothing"])
    assert texts[0].argmax() == 3
    assert texts.norm(dim=1).tolist() == pytest.approx([1, 1])
    assert texts[1].unique().numel() == 1


def test_images_agree_with_their_digit():
    reader = DigitReader()
    unseen, generator = captions(held_out=True), torch.Generator().manual_seed(7)
    chosen = torch.randint(len(unseen), (100,), generator=generator).tolist()  # as held_out_images draws them
    seen = reader.images(as_pictures((held_out_images(100) + 1) / 2))
    assert torch.allclose(seen.norm(dim=1), torch.ones(100), atol=1e-5)
    named = [unseen[i].digit for i in chosen]
    assert (seen.argmax(1) == torch.tensor(named)).double().mean() > 0.9


def test_pixels_do_not_see_brightness():
    ramp = np.tile(np.arange(64, dtype=np.uint8), (64, 1))
    pictures = [Image.fromarray(np.stack([ramp + shift] * 3, axis=-1)) for shift in (0, 100)]
    pictures.append(Image.fromarray(np.stack([ramp.T] * 3, axis=-1)))
    vectors = Pixels().images(pictures)
    assert (vectors @ vectors.T)[0].tolist() == pytest.approx([1, 1, 0], abs=1e-3)


def test_no_image_is_refused():
    with pytest.raises(ValueError, match="got no image"):
        Pixels().images([])


def test_judges_by_name():
    agreement, likeness = judges("digits", "pixels", "cpu")
    assert isinstance(agreement, DigitReader)
    assert isinstance(likeness, Pixels)
