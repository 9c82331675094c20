"""Timing in turn: A B C, A B C, ... after a warm-up, so that what slows the machine slows all alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from benchmarks.rows import Reads, Row

Say = Callable[[str], None]
T = TypeVar("T")


@dataclass(frozen=True)
class Timed:
    """A contender's result and its seconds per unit, one for each round."""

    outcome: Any
    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Median seconds per unit."""
        return statistics.median(self.seconds)


@dataclass(frozen=True)
class Target:
    """`Target("at most", 1.2)` or `Target("at least", 8)`."""

    sense: str
    value: float

    def __str__(self) -> str:
        return f"{self.sense} {self.value:g}"

    def met_by(self, ratio: float) -> bool:
        """Whether the ratio is on the right side."""
        return ratio <= self.value if self.sense == "at most" else ratio >= self.value


def in_turn(
    contenders: Mapping[str, Callable[[], Any]],
    *,
    rounds: int,
    device: str,
    say: Say,
    units: float | dict[str, float] = 1.0,
    warm_up: bool = True,
) -> dict[str, Timed]:
    """Call every contender once to warm up, then all of them in each round.

    Args:
        contenders: name -> what to time.
        rounds: timed rounds.
        device: waited for before and after each call.
        say: told what runs now.
        units: how many units of work one call does; seconds are per unit.
        warm_up: False spares long work the first call.
    """
    outcomes: dict[str, Any] = {}
    for name, call in contenders.items() if warm_up else ():
        say(f"{name}, warm-up")
        call()
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(rounds):
        for name, call in contenders.items():
            say(f"{name}, round {turn + 1} of {rounds}")
            work = units[name] if isinstance(units, dict) else units
            elapsed, outcomes[name] = clock(call, device)
            seconds[name].append(elapsed / work)
    return {name: Timed(outcomes[name], tuple(seconds[name])) for name in contenders}


def clock(call: Callable[[], T], device: str | torch.device) -> tuple[float, T]:
    """Seconds that one call takes, the device's work included, and its result."""
    synchronize(device)
    start = time.perf_counter()
    result = call()
    synchronize(device)
    return time.perf_counter() - start, result


def synchronize(device: str | torch.device) -> None:
    """Wait for the device."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


def repeated(call: Callable[[], Any], times: int) -> Callable[[], Any]:
    """A call that calls `times` times and returns the last result: short work needs longer timings."""

    def calls() -> Any:
        for _ in range(times):
            outcome = call()
        return outcome

    return calls


def compare(
    ours: Timed,
    theirs: Timed,
    *,
    reads: Reads = "times faster",
    target: Target | None = None,
    **about: Any,
) -> Row:
    """Return the row `about` with times and ratios; ratios are taken within each round."""
    pairs = zip(ours.seconds, theirs.seconds, strict=True)
    ratios = [b / a if reads == "times faster" else a / b for a, b in pairs]
    return judged(
        ratios, reads=reads, target=target, seconds=ours.median, seconds_instead=theirs.median, **about
    )


def judged(ratios: Sequence[float], *, reads: Reads, target: Target | None = None, **about: Any) -> Row:
    """Return the row `about` with the median and range of `ratios`, held against the target."""
    ratio = statistics.median(ratios)
    if target:
        about |= {"target": str(target), "met": target.met_by(ratio)}
    return Row(ratio=ratio, low=min(ratios), high=max(ratios), reads=reads, **about)


def difference(a: Tensor, b: Tensor) -> float:
    """Largest difference relative to the largest entry of b."""
    a, b = a.detach().cpu(), b.detach().cpu()
    return float((a - b).abs().max() / b.abs().max())
