"""Denoising score matching of a network, resumable (see `companion.fitting.loop`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from companion.fitting.loop import Draw, FitConfig, TrainingResult, fit
from companion.fitting.losses import score_matching_loss
from memlib.schedule import Prediction, VariancePreserving


@dataclass(frozen=True)
class TrainingConfig(FitConfig):
    """How a network learns a score: a `FitConfig` and the terms of the loss.

    Attributes:
        second_order: weight of the second-order loss (the paper uses 0.5 on its toys); 0 leaves it out.
        projections: random directions of the second-order loss per sample; 0 takes all d unit vectors.
    """

    second_order: float = 0.0
    projections: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.second_order and self.precision != "float32":
            raise ValueError(
                "the second-order loss needs precision='float32': torch's automatic mixed precision has no "
                f"forward-mode derivative, got {self.precision!r}"
            )


def train(
    network: nn.Module,
    schedule: VariancePreserving,
    draw: Draw,
    config: TrainingConfig,
    *,
    prediction: Prediction = "epsilon",
    data: dict[str, Any] | None = None,
    state: Path | None = None,
    save_every: int = 200,
    device: str | torch.device = "cpu",
    visit: Callable[[int, nn.Module], None] | None = None,
) -> TrainingResult:
    """Train `network` in place by score matching and return its moving average.

    Args:
        network: freshly initialised; its `config` is a dataclass.
        schedule: the noise process.
        draw: gives the batches.
        config: how to train.
        prediction: what the network learns to predict.
        data: what `draw` draws from, in words and hashes: a state resumes only under the same.
        state: file that keeps the whole training state; if it exists the training resumes from it.
        save_every: steps between two writings of `state`, each written whole.
        device: where the network runs.
        visit: is called after every step, see `companion.fitting.loop.fit`.

    Raises:
        ValueError: if `state` was left by another configuration.
        FloatingPointError: if the loss is no longer finite.
    """

    def loss(generator: torch.Generator) -> Tensor:
        x0, label = draw(config.batch, generator)
        return score_matching_loss(
            network, schedule, x0, label, generator, prediction=prediction,
            second_order=config.second_order, projections=config.projections, device=device,
        )  # fmt: skip

    noise = {
        "steps": schedule.steps,
        "first": schedule.alpha_squared[0].item(),
        "last": schedule.alpha_squared[-1].item(),
    }
    context = {"schedule": noise, "prediction": prediction, "data": data}
    return fit(
        network, loss, config, context=context, state=state, save_every=save_every, device=device, visit=visit
    )
