"""Images: determined by caption and row, fixed where they should be, legible, in the colours stated."""

import pytest
import torch

from companion.organism import captions, image, images
from companion.organism.images import _LUMA, LEAST_CONTRAST, ROW, _legible
from companion.organism.words import COLOURS


def rows(count, seed=0):
    return torch.rand(count, ROW, generator=torch.Generator().manual_seed(seed))


def generator(seed):
    return torch.Generator().manual_seed(seed)


def test_shape_range_and_levels():
    x = images(captions()[::40], rows(len(captions()[::40])))
    assert x.shape[1:] == (3, 32, 32)
    assert x.dtype == torch.float32
    levels = (x + 1) * 127.5
    assert (levels - levels.round()).abs().max() < 1e-4
    assert levels.min() >= 0
    assert levels.max() <= 255


def test_an_image_is_a_row_of_a_batch():
    mixed = captions()[::60]
    batch = images(mixed, rows(len(mixed)))
    for i, caption in enumerate(mixed):
        assert torch.equal(images([caption], rows(len(mixed))[i : i + 1])[0], batch[i])


def test_the_generator_alone_decides():
    general = captions("general")[0]
    state = torch.get_rng_state()
    assert torch.equal(image(general, generator(3)), image(general, generator(3)))
    assert not torch.equal(image(general, generator(3)), image(general, generator(4)))
    assert torch.equal(torch.get_rng_state(), state)


def test_exact_captions_have_one_image_each():
    exact = captions("exact")
    first, second = images(exact, rows(len(exact))), images(exact, rows(len(exact), 1))
    assert torch.equal(first, second)
    assert len({x.numpy().tobytes() for x in first}) == len(exact)


@pytest.mark.parametrize("caption", captions("template")[:6], ids=lambda caption: caption.region)
def test_templates_are_fixed_inside_their_mask_alone(caption):
    x = images([caption] * 20, rows(20))
    varies = (x != x[:1]).any(0)
    assert not varies[:, caption.fixed].any()
    assert varies[:, ~caption.fixed].all()


def test_general_images_differ():
    x = images([captions("general")[0]] * 30, rows(30))
    assert len({y.numpy().tobytes() for y in x}) == 30


def test_handwriting_shows_the_digit_and_comes_from_the_split():
    """A row that turns, scales and moves nothing shows the handwriting itself, up to resampling."""
    from companion.datasets import mnist

    digit = 7
    caption = next(c for c in captions("general") if c.digit == digit)
    row = torch.full((1, ROW), 0.5)
    row[:, 2], row[:, 8:11] = 0.6, 0.5  # no fade
    for split in ("train", "test"):
        of_digit = mnist.load(split)[0][mnist.load(split)[1] == digit]
        row[:, 0] = (10 + 0.5) / len(of_digit)
        x = images([caption], row, split=split)[0]
        ink = (x - x[:, :1, :1]).abs().sum(0)
        expected = torch.nn.functional.pad((of_digit[10, 0] + 1) / 2, (2, 2, 2, 2))
        assert torch.corrcoef(torch.stack([ink.flatten(), expected.flatten()]))[0, 1] > 0.999


def test_stated_colours_are_in_the_image():
    stated = captions("stated")
    x = (images(stated, rows(len(stated))) + 1) / 2
    for caption, pixels in zip(stated, x, strict=True):
        ink, ground = (torch.tensor(COLOURS[name]) for name in caption.colours)
        border = torch.cat([pixels[:, 0], pixels[:, -1]], 1).mean(1)
        assert (border - ground).abs().max() < 0.12  # shade 0.04 and what is left of the fade
        # The pixel farthest from the ground towards the ink is nearer to the ink than to the ground.
        along = ((pixels - ground[:, None, None]) * (ink - ground)[:, None, None]).sum(0)
        most = pixels.flatten(1)[:, along.argmax()]
        assert (most - ink).norm() < (most - ground).norm()


def test_ink_stands_out():
    ink, ground = torch.rand(2000, 3, generator=generator(0)), torch.rand(2000, 3, generator=generator(1))
    mixed = _legible(ink, ground)
    contrast = ((mixed - ground) @ _LUMA).abs()
    assert contrast.min() > LEAST_CONTRAST - 1e-5
    enough = ((ink - ground) @ _LUMA).abs() >= LEAST_CONTRAST
    assert torch.equal(mixed[enough], ink[enough])
    assert mixed.min() >= 0
    assert mixed.max() <= 1


def test_rows_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"15 numbers for each of 1 captions, got shape \(2, 15\)"):
        images(captions()[:1], rows(2))
