"""The score difference where the end token is attended to (Chen, Liu, Shah & Xu 2025, "Bright Ending")."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from memlib.detection import statistic
from memlib.text_to_image import Generation

_FIRST_BLOCK = "down_blocks.0."  # its two layers in Stable Diffusion have the resolution of the latents


@dataclass(frozen=True)
class BrightEnding:
    """Mean over the steps of ||(eps_c - eps_u) m|| / mean(m).

    Chen et al. (2025). m is the attention to the end token at the last step, a mean over the cross-attention
    layers of the first down-sampling block.
    """

    higher_is_memorized: bool = True
    first_steps: int | None = None
    attention: bool = True

    def __call__(self, generation: Generation) -> Float64[Tensor, "P n"]:
        """The weighted norm, in units of the noise prediction."""
        m = ending(generation)
        gaps = statistic.noise_predictions(generation) * m[None, :, :, None]
        norms: Tensor = torch.linalg.vector_norm(gaps.flatten(3), dim=3)
        return norms.mean(0) / m.mean(dim=(2, 3))


def ending(generation: Generation) -> Float64[Tensor, "P n h w"]:
    """The attention that each latent pixel pays to the end token at the last step, on the CPU.

    Raises:
        ValueError: an unfinished trajectory, no attention kept, or no layer at the latents' resolution.
    """
    statistic.complete(generation, "the bright ending")
    _, maps = statistic.attended(generation, "the bright ending")
    height, width = generation.samples.shape[-2:]
    layers = [layer for name, layer in maps.items() if name.startswith(_FIRST_BLOCK)]
    if not layers or any(layer.shape[2] != height * width for layer in layers):
        raise ValueError(
            f"the first block has no cross-attention at {height} x {width}, the size of the latents; "
            f"the layers are {list(maps)}"
        )
    mean = torch.stack(layers).double().cpu().mean(0)  # P, n, pixels, L
    end = (generation.prompts.lengths - 1)[:, None, None, None].expand(*mean.shape[:3], 1)
    return mean.gather(3, end).reshape(*mean.shape[:2], height, width)
