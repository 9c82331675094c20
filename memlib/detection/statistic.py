"""What every statistic of memorization offers, and how several are measured on the same samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
from jaxtyping import Float, Float64
from torch import Tensor
from tqdm import tqdm

from memlib.text_to_image import Generation, Prompts, TextToImage, generate


class Statistic(Protocol):
    """A number per prompt and seed, computed from the sampling paths."""

    @property
    def higher_is_memorized(self) -> bool:
        """Whether larger values mean memorized."""

    @property
    def first_steps(self) -> int | None:
        """How many of the first steps it needs; None for the whole trajectory."""

    @property
    def attention(self) -> bool:
        """Whether it needs the cross-attention."""

    def __call__(self, generation: Generation) -> Float64[Tensor, "P n"]:
        """The values, on the CPU."""


def measure(
    model: TextToImage,
    prompts: Prompts,
    noise: Float[Tensor, "n ..."],
    statistics: Mapping[str, Statistic],
    *,
    steps: int = 50,
    guidance: float = 7.5,
    rows: int = 64,
    progress: bool = False,
) -> dict[str, Float64[Tensor, "P n"]]:
    """Values of several statistics on the same samples, which are followed only as far as one of them needs.

    Args:
        model: the text-to-image model.
        prompts: P prompts.
        noise: n starting points that all prompts share: the seeds.
        statistics: name -> statistic; each gives `(P, n)` float64.
        steps: the number of steps of the whole trajectory.
        guidance: scale of classifier-free guidance.
        rows: prompts times seeds at a time, at least one prompt; bounds the memory.
        progress: show a progress bar.

    Raises:
        ValueError: no statistic, or fewer steps than one of them needs.
    """
    if not statistics or rows < 1:
        raise ValueError(f"one statistic or more and rows >= 1 expected, got {list(statistics)} and {rows}")
    needed = [steps if s.first_steps is None else s.first_steps for s in statistics.values()]
    attention = any(s.attention for s in statistics.values())
    together = max(1, rows // len(noise))
    found: dict[str, list[Tensor]] = {name: [] for name in statistics}
    for start in tqdm(range(0, len(prompts), together), desc="prompts", disable=not progress):
        some = prompts[start : start + together]
        generation = generate(
            model, some, noise, steps=steps, first_steps=max(needed), guidance=guidance, attention=attention
        )
        for name, statistic in statistics.items():
            found[name].append(statistic(generation))
    return {name: torch.cat(parts) for name, parts in found.items()}


def first(generation: Generation, steps: int) -> slice:
    """The first steps; `ValueError` if fewer were sampled."""
    if not 1 <= steps <= len(generation.times):
        raise ValueError(f"{steps} steps are needed, {len(generation.times)} were sampled")
    return slice(0, steps)


def complete(generation: Generation, name: str) -> None:
    """Raise `ValueError` unless the trajectory was followed to its end."""
    if not generation.complete:
        raise ValueError(
            f"{name} needs the whole trajectory, got {len(generation.times)} of {generation.steps} steps"
        )


def attended(generation: Generation, name: str) -> tuple[Tensor, dict[str, Tensor]]:
    """The attention of every step and the maps of the last, or `ValueError` if none was kept."""
    if generation.attention is None or generation.last_attention is None:
        raise ValueError(f"{name} needs the cross-attention; generate(..., attention=True) keeps it")
    return generation.attention, generation.last_attention


def noise_predictions(generation: Generation, steps: int | None = None) -> Tensor:
    """`(S, P, n, *sample_shape)` float64, eps_c - eps_u = -sigma s_Delta at the first steps; None is all."""
    which = slice(None) if steps is None else first(generation, steps)
    difference = generation.differences(which)
    return -generation.sigma[which].reshape(-1, *[1] * (difference.ndim - 1)) * difference
