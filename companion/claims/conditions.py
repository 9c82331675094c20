"""Conditions on a measured number: which values meet one, and what an interval says about it.

A condition is a range of values. It *holds* if all of the interval lies inside, *fails* if all of it lies
outside, and is *undecided* otherwise: a wider interval never decides more. A claim that two numbers are equal
is an equivalence test, with the margin as its range (Schuirmann 1987).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from companion import effects
from companion.experiment.results import Scalar

Outcome = Literal["holds", "fails", "undecided"]


@dataclass(frozen=True)
class Estimate:
    """A number with the ends of its interval, or itself twice where there is none, and the n behind them."""

    value: float
    low: float
    high: float
    n: int | None

    @classmethod
    def of(cls, scalar: Scalar) -> Estimate:
        """From a recorded number."""
        return cls(float(scalar.value), scalar.low, scalar.high, scalar.n if scalar.interval else None)

    def less(self, other: Estimate) -> Estimate:
        """The difference of two numbers, its interval as for independent ones."""
        sizes = [n for n in (self.n, other.n) if n is not None]
        ends = effects.ends_of_difference(self, other)
        return Estimate(self.value - other.value, *ends, min(sizes, default=None))

    @property
    def degenerate(self) -> bool:
        """Whether an interval over several draws has no width: all were alike, so that it says nothing."""
        return self.n is not None and self.low == self.high


@dataclass(frozen=True)
class Range:
    """Values from `low` to `high`; the ends belong to it if `closed`."""

    low: float = -math.inf
    high: float = math.inf
    closed: bool = False

    def outcome(self, estimate: Estimate) -> Outcome:
        """What an interval says about the condition that the number lies in this range."""
        if estimate.degenerate:
            return "undecided"
        if self._holds(estimate.low) and self._holds(estimate.high):
            return "holds"
        if self.closed:
            outside = estimate.high < self.low or estimate.low > self.high
        else:
            outside = estimate.high <= self.low or estimate.low >= self.high
        return "fails" if outside else "undecided"

    def needed(self, estimate: Estimate) -> int | None:
        """How large n would have to be to decide; None if no n would, or where there is none.

        The number is taken to stay where it is, and the interval to shrink with the square root of n.
        """
        if estimate.n is None or estimate.degenerate:
            return None
        arms = {-1: estimate.value - estimate.low, 1: estimate.high - estimate.value}
        if self._holds(estimate.value):
            room = {-1: estimate.value - self.low, 1: self.high - estimate.value}
        else:  # only the end that faces the range has to leave it
            side = 1 if estimate.value <= self.low else -1
            room = {side: abs((self.low if side == 1 else self.high) - estimate.value)}
        if min(room.values()) == 0:
            return None
        return math.ceil(estimate.n * max(arms[side] / space for side, space in room.items()) ** 2)

    def _holds(self, value: float) -> bool:
        return self.low <= value <= self.high if self.closed else self.low < value < self.high
