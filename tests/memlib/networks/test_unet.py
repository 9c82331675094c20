"""The U-Net."""

import pytest
import torch

from memlib.networks import UNet, UNetConfig

CONFIGS = [
    UNetConfig(channels=(8, 16), blocks=1),
    UNetConfig(image_size=8, patch=1, channels=(8,), blocks=2, attention=False, classes=2),
    UNetConfig(image_channels=3, image_size=16, channels=(8, 16, 24), blocks=2),
]


def randomized(config):
    network, generator = UNet(config), torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        parameter.data.normal_(0.0, 0.1, generator=generator)
    return network


def normal(config, count=2):
    return torch.randn(count, *config.sample_shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("config", CONFIGS)
def test_shapes(config):
    x = normal(config)
    assert randomized(config)(x, 5).shape == x.shape


@pytest.mark.parametrize("config", CONFIGS)
def test_it_starts_by_predicting_zero(config):
    assert not UNet(config)(normal(config), 5).any()


@pytest.mark.parametrize("config", CONFIGS)
def test_every_weight_matters(config):
    network = randomized(config)
    network(
        normal(config), torch.tensor([3, 700]), torch.tensor([0, config.classes])
    ).square().sum().backward()
    silent = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    # A bias that the next normalisation removes has a gradient of rounding size: only exact zeros are listed.
    assert silent == []


def test_every_pixel_reaches_every_pixel_through_attention():
    config = UNetConfig(image_size=16, channels=(8, 16), blocks=1)
    x = normal(config, 1).requires_grad_()
    randomized(config)(x, 5)[0, 0, 0, 0].backward()
    assert (x.grad != 0).all()


def test_labels_are_rows_of_an_embedding():
    config = CONFIGS[0]
    network, x = randomized(config), normal(config, 3)
    mixed = network(x, 100, torch.tensor([1, 10, 4]))
    for row, label in enumerate((1, None, 4)):
        assert torch.allclose(mixed[row], network(x[row : row + 1], 100, label)[0], atol=1e-5)
    assert not torch.allclose(mixed[0], network(x[:1], 100, 2)[0], atol=1e-4)


def test_rows_do_not_see_one_another():
    config = CONFIGS[0]
    network = randomized(config).double()
    x = normal(config).double().requires_grad_()
    network(x, 5)[0].sum().backward()
    assert x.grad[0].any()
    assert not x.grad[1].any()


def test_channels_from_json_are_a_tuple():
    assert UNetConfig(channels=[8, 16]) == UNetConfig(channels=(8, 16))


def test_sizes_that_do_not_halve_are_refused():
    with pytest.raises(
        ValueError, match=r"image_size=28 cannot be folded by patch=2 and halved 2 times.*multiple of 8"
    ):
        UNetConfig(image_size=28, channels=(8, 16, 24))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": torch.zeros(2, 1, 28)}, r"x must have shape \(B, 1, 28, 28\), batch first, got \(2, 1, 28\)"),
        ({"x": torch.zeros(1, 28, 28)}, r"x must have shape \(B, 1, 28, 28\)"),
        ({"x": torch.zeros(2, 1, 28, 28, dtype=torch.uint8)}, "floating dtype"),
        ({"label": 11}, r"label must lie in \[0, 10\], where the last means no class, got 11"),
        ({"label": -1}, r"label must lie in \[0, 10\]"),
        (
            {"label": torch.tensor([1, 2, 3])},
            r"label must be one integer or an integer tensor of shape \(2,\)",
        ),
        ({"t": torch.tensor([1.0, 2.0])}, "t must be one integer"),
    ],
)
def test_bad_input_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        UNet(CONFIGS[0])(**{"x": torch.zeros(2, 1, 28, 28), "t": 3} | change)
