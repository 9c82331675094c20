"""The perceptron."""

import pytest
import torch

from memlib.networks import MLP, MLPConfig
from memlib.networks.embedding import TimeEmbedding, expand_index


def test_shapes_times_and_determinism():
    network = MLP(MLPConfig(dim=3, width=16, blocks=2))
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    out = network(x, torch.tensor([0, 500, 500, 999]))
    assert out.shape == (4, 3)
    assert torch.allclose(out[1], network(x[1:2], 500)[0], atol=1e-6)
    assert not torch.allclose(network(x, 0), network(x, 999))
    assert network.config.sample_shape == (3,)


def test_second_derivatives_exist():
    network = MLP(MLPConfig(width=8)).double()
    H = torch.autograd.functional.hessian(lambda x: network(x[None], 3).sum(), torch.ones(2).double())
    assert H.abs().max() > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((torch.zeros(2, 3), 0), r"x must have shape \(B, 2\), batch first, got \(2, 3\)"),
        ((torch.zeros(2), 0), r"x must have shape \(B, 2\)"),
        ((torch.zeros(2, 2, dtype=torch.int64), 0), "floating dtype"),
        ((torch.zeros(2, 2), 0.5), "t must be one integer"),
        ((torch.zeros(2, 2), torch.zeros(3, dtype=torch.int64)), r"integer tensor of shape \(2,\)"),
        ((torch.zeros(2, 2), torch.zeros(2, 1, dtype=torch.int64)), r"integer tensor of shape \(2,\)"),
        ((torch.zeros(2, 2), 0, 1), "an MLP has no classes, got label=1"),
    ],
)
def test_bad_input_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        MLP(MLPConfig())(*arguments)


def test_time_features_tell_every_time_apart():
    embedding = TimeEmbedding(8)
    angles = torch.arange(1000)[:, None] * embedding.frequencies
    features = torch.cat([angles.sin(), angles.cos()], 1)
    distances = torch.cdist(features, features) + 10 * torch.eye(1000)
    assert distances.min() > 0.1
    assert embedding(torch.tensor([3, 4])).shape == (2, 8)
    assert expand_index("t", 3, 2, torch.device("cpu")).tolist() == [3, 3]
