"""What the finished models are measured by."""

import pytest
import torch

from companion.datasets import mnist
from companion.organism import captions, images
from companion.organism.images import ROW
from companion.organism.quality import as_mnist, held_out_images, latent_scale, psnr, reconstruct


def test_decibels_by_hand():
    x = torch.zeros(3, 3, 32, 32)
    off = torch.tensor([2.0, 0.2, 0.02]).view(3, 1, 1, 1)
    assert psnr(x, x + off).tolist() == pytest.approx([0.0, 20.0, 40.0])


def test_held_out_images_are_the_same_each_time():
    x = held_out_images(20)
    assert torch.equal(x, held_out_images(20))
    assert len({y.numpy().tobytes() for y in x}) == 20


def test_reconstructions_and_scale(tiny_autoencoder):
    autoencoder, x = tiny_autoencoder().model.eval(), held_out_images(20)
    rebuilt = reconstruct(autoencoder, x, chunk=7)
    assert rebuilt.shape == x.shape
    assert rebuilt.abs().max() <= 1
    scale = latent_scale(autoencoder, x)
    with torch.no_grad():
        latents = autoencoder.encode(x).latent_dist.mean
    assert (latents * scale).std().item() == pytest.approx(1.0, rel=1e-3)


def test_ink_of_coloured_images_is_the_handwriting_again():
    """Of a row that turns nothing, the ink is MNIST's own image up to resampling, wherever it was moved."""
    caption = next(c for c in captions("general") if c.digit == 3)
    of_digit = mnist.load("test")[0][mnist.load("test")[1] == 3]
    rows = torch.rand(30, ROW, generator=torch.Generator().manual_seed(0))
    rows[:, 0] = (torch.arange(30) + 0.5) / len(of_digit)
    rows[:, 1], rows[:, 2] = 0.5, 0.6  # no turn, scale 1
    found = as_mnist(images([caption] * 30, rows, split="test"))
    assert found.shape == (30, 1, 28, 28)
    assert found.min() == -1
    assert found.max() == 1
    pairs = zip(found.flatten(1), of_digit[:30].flatten(1), strict=True)
    alike = torch.tensor([torch.corrcoef(torch.stack(pair))[0, 1] for pair in pairs])
    # MNIST is centred to whole pixels, this exactly: thin strokes half a pixel off correlate less.
    assert alike.min() > 0.8
    assert alike.median() > 0.9
