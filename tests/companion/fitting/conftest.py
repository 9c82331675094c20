"""Small trainings that the tests of this folder share."""

import pytest
import torch

from companion.fitting import TrainingConfig
from memlib.networks import MLP, MLPConfig, UNet, UNetConfig
from memlib.schedule import VariancePreserving

SCHEDULE = VariancePreserving.linear(50)


def points(batch, generator):
    return torch.randn(batch, 2, generator=generator), None


def images(batch, generator):
    return torch.randn(batch, 1, 8, 8, generator=generator), torch.randint(4, (batch,), generator=generator)


def fresh(build, seed=0):
    """A network whose initial weights depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


CASES = {
    "mlp": (
        lambda: MLP(MLPConfig(width=16, blocks=1)),
        points,
        TrainingConfig(steps=9, batch=8, second_order=0.5),
    ),
    "unet": (
        lambda: UNet(UNetConfig(image_size=8, channels=(8, 16), blocks=1, classes=3)),
        images,
        TrainingConfig(steps=6, batch=4, warmup=2),
    ),
}


@pytest.fixture(params=CASES)
def case(request):
    """A builder of fresh networks, their batches, their configuration."""
    build, draw, config = CASES[request.param]
    return (lambda seed=0: fresh(build, seed)), draw, config


@pytest.fixture
def schedule():
    return SCHEDULE
