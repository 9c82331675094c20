"""Distances between images of one prompt, tile by tile (Carlini et al. 2023, section 4.2)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from memlib.detection import statistic
from memlib.text_to_image import Generation


@dataclass(frozen=True)
class TiledDistance:
    """Mean over the other seeds of the largest l2 distance between corresponding tiles of two images.

    Carlini et al. (2023, section 4.2). Small where every seed gives the same image. How the distances of the
    pairs become one number is not stated where the statistic is compared; the mean keeps a value per seed
    whose mean is that over pairs.

    Attributes:
        tiles: to a side; 4 cuts 512 pixels into tiles of 128, as published.
    """

    tiles: int = 4
    higher_is_memorized: bool = False
    first_steps: int | None = None
    attention: bool = False

    def __call__(self, generation: Generation) -> Float64[Tensor, "P n"]:
        """The mean distance, of pixels in [0, 1]."""
        statistic.complete(generation, "a distance between images")
        grid = generation.samples.shape[:2]
        images = generation.model.decode(generation.samples.flatten(0, 1))
        return self.of(images.reshape(*grid, *images.shape[1:]))

    def of(self, images: Float[Tensor, "P n C H W"]) -> Float64[Tensor, "P n"]:
        """The statistic of images.

        Raises:
            ValueError: a single seed, or a side that does not divide into the tiles.
        """
        prompts, seeds, channels, height, width = images.shape
        if seeds < 2:
            raise ValueError("distances between the images of a prompt need at least 2 seeds, got 1")
        if height % self.tiles or width % self.tiles:
            raise ValueError(
                f"images of {height} x {width} pixels do not divide into {self.tiles} tiles a side"
            )
        size = height // self.tiles, width // self.tiles
        cut = images.double().reshape(prompts, seeds, channels, self.tiles, size[0], self.tiles, size[1])
        tiles = cut.permute(0, 3, 5, 1, 2, 4, 6).flatten(4).flatten(1, 2)  # P, tiles, n, pixels of a tile
        # Differences, not cdist's products: near-copies are what matters.
        distances = torch.cdist(tiles, tiles, compute_mode="donot_use_mm_for_euclid_dist").amax(1)
        return (distances.sum(2) / (seeds - 1)).cpu()
