"""Statistics of images against waves whose power is known, and NumPy's correlation."""

import math

import numpy as np
import pytest
import torch

from companion.images import correlation, radial_power


def wave(cycles, width=32, along=0, amplitude=1.0):
    line = amplitude * torch.cos(2 * math.pi * cycles * torch.arange(width, dtype=torch.float64) / width)
    return (line if along else line[:, None]).expand(1, 3, width, width)


@pytest.mark.parametrize("along", [0, 1])
@pytest.mark.parametrize("cycles", [1, 5, 15])
def test_a_wave_has_all_its_power_in_its_own_ring(cycles, along):
    power = radial_power(wave(cycles, along=along, amplitude=2.0))[0]
    assert power.shape == (16,)
    assert power.argmax() == cycles - 1
    assert np.delete(power, cycles - 1).max() < 1e-20
    # Two frequencies with A^2 / 4 each, among all whose distance from zero rounds to `cycles`.
    grid = np.hypot(*np.meshgrid(range(-16, 16), range(-16, 16)))
    inside = ((grid >= cycles - 0.5) & (grid < cycles + 0.5)).sum()
    assert power[cycles - 1] == pytest.approx(2 * 2.0**2 / 4 / inside)


def test_the_mean_of_an_image_is_left_out_and_channels_are_averaged():
    assert radial_power(torch.full((2, 3, 8, 8), 0.7)).max() < 1e-12
    opposed = torch.cat([wave(2)[:, :1], -wave(2)[:, :1]], dim=1)
    assert radial_power(opposed).max() < 1e-30


def test_correlations_are_numpys():
    a, b = torch.randn(2, 5, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    expected = [np.corrcoef(x.flatten(), y.flatten())[0, 1] for x, y in zip(a, b, strict=True)]
    assert correlation(a, b).numpy() == pytest.approx(expected, abs=1e-6)
    assert correlation(a, 3 * a + 1).numpy() == pytest.approx(np.ones(5))


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"shape \(B, C, W, W\), got \(1, 3, 4, 8\)"):
        radial_power(torch.zeros(1, 3, 4, 8))
    with pytest.raises(ValueError, match="second"):
        correlation(torch.zeros(2, 3), torch.zeros(2, 4))
