"""A network together with what is needed to read its output as a score."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from memlib.schedule import Prediction, VariancePreserving


@dataclass(frozen=True, eq=False)
class DiffusionModel:
    """A network, the schedule it was trained on and what it predicts.

    Attributes:
        network: `network(x, t, label)`.
        schedule: the noise process whose time indices it takes.
        prediction: "epsilon", "v", "sample" or "flow".
    """

    network: nn.Module
    schedule: VariancePreserving
    prediction: Prediction = "epsilon"

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of one sample, without the batch axis."""
        shape: tuple[int, ...] = self.network.config.sample_shape  # type: ignore[union-attr, assignment]
        return shape
