"""Images without a network: their bytes, power by frequency, correlation of pairs."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Float64
from numpy.typing import NDArray
from torch import Tensor

from memlib import checks


def eight_bits(images: Float[Tensor, ...]) -> NDArray[np.uint8]:
    """Images in [-1, 1], beyond which they are cut, as bytes of the same shape.

    Example:
        >>> eight_bits(torch.tensor([-1.0, 0.0, 2.0])).tolist()
        [0, 128, 255]
    """
    found: NDArray[np.uint8] = ((images.clamp(-1, 1) + 1) * 127.5).round().byte().cpu().numpy()
    return found


def radial_power(images: Float[Tensor, "B C W W"]) -> Float64[np.ndarray, "B R"]:
    """Mean power of each image, a mean over channels, at 1 to R = W / 2 cycles per image.

    A wave of amplitude A along an axis has power A^2 / 4 at each of two frequencies of its ring, which holds
    more of them the larger it is. The mean of the image, at no cycle, is left out.

    Raises:
        ValueError: the images are not square.

    Example:
        >>> wave = torch.cos(2 * torch.pi * 3 * torch.arange(16) / 16).expand(1, 1, 16, 16)
        >>> int(radial_power(wave).argmax()) + 1
        3
    """
    checks.batched("images", images)
    if images.ndim != 4 or images.shape[2] != images.shape[3]:
        raise ValueError(f"images must have shape (B, C, W, W), got {tuple(images.shape)}")
    width = images.shape[-1]
    radius = np.hypot(*np.meshgrid(np.fft.fftfreq(width), np.fft.fftfreq(width)))
    rings = np.digitize(radius, np.arange(0.5, width // 2 + 1) / width)
    energy = np.abs(np.fft.fft2(images.mean(1).cpu().numpy())) ** 2 / width**4
    power: np.ndarray = np.stack(
        [energy[:, rings == ring].mean(1) for ring in range(1, width // 2 + 1)], axis=1
    )
    return power


def correlation(first: Float[Tensor, "B ..."], second: Float[Tensor, "B ..."]) -> Float64[Tensor, " B"]:
    """Correlation of the numbers of paired images, in [-1, 1]; 0 where one is constant.

    Example:
        >>> correlation(torch.tensor([[0.0, 1.0, 2.0]]), torch.tensor([[5.0, 3.0, 1.0]])).round().tolist()
        [-1.0]
    """
    checks.batched("second", second, tuple(first.shape[1:]))
    a, b = (x.flatten(1).double() - x.flatten(1).double().mean(1, keepdim=True) for x in (first, second))
    return torch.nn.functional.cosine_similarity(a, b)
