"""Networks of a few thousand weights, made once."""

import pytest
import torch

from companion.organism.training_set import TrainingSet, training_set


@pytest.fixture
def tiny_autoencoder():
    """Builds an untrained autoencoder; the seed decides its weights."""
    pytest.importorskip("diffusers")
    from companion.organism.parts import Autoencoder, AutoencoderConfig

    def build(seed=0):
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            return Autoencoder(AutoencoderConfig(channels=(8, 8, 8)))

    return build


@pytest.fixture
def tiny_model():
    """Builds an untrained text encoder with its U-Net; the seed decides the weights."""
    pytest.importorskip("diffusers")
    pytest.importorskip("transformers")
    from companion.organism.parts import TextToImage, TextToImageConfig

    def build(seed=0):
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            return TextToImage(TextToImageConfig(channels=(8, 16), width=16, layers=1))

    return build


@pytest.fixture
def few():
    """Sixty of the 60,000 pairs, of every family."""
    data = training_set()
    return TrainingSet(data.captions, data.caption[::1000], data.rows[::1000])
