"""The times that a pipeline visits, and what its network is told at each."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


class Clock:
    """Times of a model; see `TextToImage`.

    Args:
        own: the scheduler of the pipeline, as its own call has set it.
        plain: DDIM's with the same noise levels; of a rectified flow `own`.
        call: runs the pipeline with a number of steps up to its first, which sets `own`.
        first: what the network was told of the time at first.
    """

    def __init__(self, own: Any, plain: Any, call: Callable[[int], Any], first: Tensor) -> None:
        self.own, self.plain, self.call, self.first = own, plain, call, first
        self.flow = plain is own
        self.known: dict[float, float] = {}
        self.visited: dict[int, list[float]] = {}
        # 1 for networks that are told 1000 t, 0.001 for t itself.
        self.scale = round(float(first.flatten()[0]) / float(own.timesteps[0]), 6) if self.flow else 1.0

    def times(self, steps: int) -> list[float]:
        """The times of a sampling, noisiest first.

        Raises:
            ValueError: more steps than there are times.
        """
        most = self.own.config.num_train_timesteps
        if not 1 <= steps <= most:
            raise ValueError(f"steps must lie in [1, {most}], got {steps}")
        if steps not in self.visited:
            self.visited[steps] = self._of_flow(steps) if self.flow else self._of_index(steps, most)
        return [*self.visited[steps]]

    def told(self, t: float, rows: int) -> float | Tensor:
        """What the network is told at `t`, in the form in which it was told at first."""
        value = t
        if self.flow:
            value = t * self.own.config.num_train_timesteps
            whole = value if self.own.timesteps.dtype.is_floating_point else int(value)
            value = self.known.get(t, whole * self.scale)
        return value if self.first.ndim == 0 else self.first.new_full((rows,), value)

    def _of_flow(self, steps: int) -> list[float]:
        self.call(steps)
        times: list[float] = self.own.sigmas[:steps].tolist()
        told = [self.scale * value for value in self.own.timesteps.tolist()]
        self.known |= dict(zip(times, told, strict=True))
        return times

    def _of_index(self, steps: int, most: int) -> list[float]:
        own, plain = (_visited(scheduler, steps) for scheduler in (self.own, self.plain))
        # Samplers that step in between have not one whole number a step.
        times = [int(t) for t in own] if len(own) == steps and all(t == int(t) for t in own) else plain
        if times[0] >= most:
            raise ValueError(
                f"{steps} steps start at time {times[0]}, the schedule ends at {most - 1}; use fewer steps"
            )
        return [*times]


def _visited(scheduler: Any, steps: int) -> list[int]:
    """The different times of a scheduler, noisiest first; it stays as it is."""
    clock = type(scheduler).from_config(scheduler.config)
    clock.set_timesteps(steps)
    return sorted({*clock.timesteps.tolist()}, reverse=True)
