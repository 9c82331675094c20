"""Entropies of the cross-attention over tokens (Ren et al. 2024)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from memlib.detection import statistic
from memlib.text_to_image import Generation


@dataclass(frozen=True)
class LayerEntropy:
    """E of one layer at the first step (Ren et al. 2024): -sum_i a_i log a_i, a_i the mean weight of token i.

    Attributes:
        layer: index of the cross-attention layer in the order in which they run; 3 of 16 in the authors'
            code for Stable Diffusion 1.4.
    """

    layer: int = 3
    higher_is_memorized: bool = True
    first_steps: int = 1
    attention: bool = True

    def __call__(self, generation: Generation) -> Float64[Tensor, "P n"]:
        """The entropy in nats."""
        weights, _ = statistic.attended(generation, "the entropy of a layer")
        layers = weights.shape[1]
        if not 0 <= self.layer < layers:
            raise ValueError(f"layer must lie in [0, {layers - 1}] for this model, got {self.layer}")
        return entropy(weights[0, self.layer]).cpu()


@dataclass(frozen=True)
class AttentionEntropy:
    """D: the mean entropy over the last fifth of the steps, plus how far that of the summary tokens moved.

    Ren et al. (2024). The summary tokens are those from the end token on. With T steps, T_D = T / 5 and means
    over all layers,

        D = 1/T_D sum_t E_t + 1/T_D sum_t |E_t^summary - E_T^summary|, T the first step.

    Attributes:
        absolute: as published; the authors' code adds the difference without the absolute value.
    """

    absolute: bool = True
    higher_is_memorized: bool = True
    first_steps: int | None = None
    attention: bool = True

    def __call__(self, generation: Generation) -> Float64[Tensor, "P n"]:
        """The sum, in nats."""
        statistic.complete(generation, "the entropy of the attention")
        weights, _ = statistic.attended(generation, "the entropy of the attention")
        mean = weights.mean(1)  # S, P, n, L
        last = slice(-max(1, generation.steps // 5), None)
        positions = torch.arange(mean.shape[3], device=mean.device)
        end = generation.prompts.lengths.to(mean.device)[:, None, None] - 1
        summary = entropy(torch.where(positions >= end, mean, 0))  # 0 log 0 = 0
        moved = summary[last] - summary[0]
        return (entropy(mean[last]) + (moved.abs() if self.absolute else moved)).mean(0).cpu()


def entropy(weights: Float[Tensor, "... L"]) -> Float64[Tensor, ...]:
    """Entropy -sum_i a_i log a_i over the last axis; the weights need not sum to 1."""
    a = weights.double()
    found: Tensor = -torch.special.xlogy(a, a).sum(-1)
    return found
