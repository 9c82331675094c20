"""When a statistic leaves its level, and by how much it comes before the first copy.

Declared before any network of the ladder was trained:

- A statistic has *set in* at the first rung at which the interval of the difference between training and
  held-out points (Welch 1947; Wilson's interval of the share of copies) lies beyond its level, and does so at
  the next two rungs as well, or until the end where fewer follow, one at least. The level is zero, and for
  copies the share of held-out images that the same test calls copies.
- Its *lead* is the number of doublings of the training time from there to the first copy.
- Uncertainty comes from drawing anew the images of each run and the runs (the unit) of each set size.

A time lies on a rung, so no difference below half a doubling is resolved. A run that ends before an event
gives it the time of the rung after the last, a lower bound, and counts as censored.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
import torch
from numpy.typing import NDArray

from memlib.copies import RATIO
from memlib.intervals import Interval
from memlib.monitor import SequentialTest

LEVEL, SUSTAINED, RESAMPLES = 0.99, 3, 400
Rungs = Mapping[int, Mapping[str, Any]]
"""Steps -> what `companion.onset.measure` returned there."""
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Onset:
    """When something sets in.

    Attributes:
        step: of the rung; of the rung that would follow the last if it has not set in by then.
        reached: whether it has.
    """

    step: float
    reached: bool


@dataclass(frozen=True)
class Lead:
    """How many doublings of the training time before the first copy a statistic sets in.

    Attributes:
        value: median over the runs, with an interval over runs and images.
        censored: share of the runs in which one of the two times was not reached.
    """

    value: Interval
    censored: float


def onset(steps: Sequence[int], lowest: Sequence[float], level: float = 0.0) -> Onset:
    """The first rung from which on the lower end of an interval stays above a level, see above.

    Args:
        steps: of the rungs, ascending, evenly spaced in their logarithm.
        lowest: the lower ends there; of an interval that is to be below a level, minus the upper ends.
        level: that of nothing.

    Example:
        >>> onset([1, 2, 4, 8], [0.1, -0.2, 0.3, 0.4])
        Onset(step=4, reached=True)
    """
    above = [low > level for low in lowest]
    for first in range(len(above) - 1):
        if all(above[first : first + SUSTAINED]):
            return Onset(steps[first], True)
    return Onset(steps[-1] ** 2 / steps[-2], False)


def first_copy(rungs: Rungs, false: float = 0.0, draw: Callable[[Array], Array] = np.asarray) -> Onset:
    """When the share of samples that the ratio test calls copies leaves that of held-out images.

    Args:
        rungs: of a run.
        false: share of held-out images that are called copies.
        draw: resamples the samples, the same ones at every rung.
    """
    copied = np.array([draw(np.array(rung["ratio"])) < RATIO for rung in rungs.values()])
    return onset(list(rungs), _wilson_low(copied), false)


def differences(rungs: Rungs) -> dict[str, list[tuple[Array, Array]]]:
    """Name -> at each rung the values at training and at held-out points, larger where memorized.

    Names are `loss t`, and `tr_h t`, `local_dimension t` and `count t` by time, and `smallest`, in the order
    of the settings: the number is the position of the time.
    """
    found: dict[str, list[tuple[Array, Array]]] = {}
    for rung in rungs.values():
        sides = [
            {f"loss {k}": -np.log(of) for k, of in enumerate(rung["loss"][side])}
            | {
                f"{name} {k}": sign * np.array(of)
                for name, sign in (("tr_h", 1), ("local_dimension", -1), ("count", -1))
                for k, of in enumerate(rung["points"][side][name])
            }
            | {"smallest": -np.array(rung["smallest"][side])}
            for side in ("training", "held_out")
        ]
        for name, values in sides[0].items():
            found.setdefault(name, []).append((values, sides[1][name]))
    return found


def set_in(rungs: Rungs, name: str) -> Onset:
    """When a statistic of `differences` leaves its level in a run, by 99 % intervals over all its points."""
    return onset(list(rungs), _lowest(differences(rungs)[name], np.asarray))


def warned(rungs: Rungs, *, level: float = 0.01, seed: int = 0) -> Onset:
    """When the monitor would have warned, had it looked at the recorded points at every rung.

    `memlib.monitor.SequentialTest` on sharpness and minus the logarithm of the loss, as they are and as
    changes since the first rung.

    Args:
        rungs: of a run.
        level: the probability of a false alarm over all rungs.
        seed: of the labelings.
    """
    found: list[torch.Tensor] = []
    test: SequentialTest | None = None
    for step, rung in rungs.items():
        sides = []
        for side in ("training", "held_out"):
            sharp = np.array(rung["points"][side]["tr_h"])
            sides.append(
                np.concatenate([sharp, -np.log(np.array(rung["loss"][side])[:, : sharp.shape[1]])]).T
            )
        found.append(torch.from_numpy(np.concatenate(sides)))
        if test is None:
            test = SequentialTest(torch.arange(len(found[0])) < len(sides[0]), level=level, seed=seed)
        if test.look(torch.cat([found[-1], found[-1] - found[0]], 1)).alarm:
            return Onset(step, True)
    steps = list(rungs)
    return Onset(steps[-1] ** 2 / steps[-2], False)


def leads(
    runs: Sequence[Rungs], name: str, false: Sequence[float], *, level: float = 0.95, seed: int = 0
) -> Lead:
    """The lead of a statistic in the runs of one set size, by a bootstrap over runs and, within them, images.

    Args:
        runs: two at least.
        name: of `differences`.
        false: share of held-out images called copies, for each run.
        level: of the interval.
        seed: of the resampling.

    Raises:
        ValueError: fewer than two runs.
    """
    if len(runs) < 2 or len(false) != len(runs):
        raise ValueError(f"a lead needs two runs and a share for each, got {len(runs)} and {len(false)}")
    tables = [(list(run), differences(run)[name], run) for run in runs]
    source = np.random.default_rng(seed)

    def lead(chosen: Sequence[int], drawn: bool) -> tuple[float, float]:
        found, late = [], 0
        for k in chosen:
            steps, values, run = tables[k]
            draw = _drawing(source) if drawn else np.asarray
            warned = onset(steps, _lowest(values, draw))
            copied = first_copy(run, false[k], draw)
            found.append(math.log2(copied.step / warned.step))
            late += not (warned.reached and copied.reached)
        return float(np.median(found)), late / len(found)

    value, censored = lead(range(len(runs)), False)
    again = [lead(source.integers(len(runs), size=len(runs)).tolist(), True)[0] for _ in range(RESAMPLES)]
    low, high = np.quantile(again, [(1 - level) / 2, (1 + level) / 2])
    return Lead(Interval(value, float(low), float(high), level, len(runs)), censored)


def scaling(counts: Sequence[int], times: Sequence[Onset], *, level: float = 0.95) -> Interval:
    """The exponent b of time ~ n^b over runs that reached the event, with Student's interval (runs the unit).

    Args:
        counts: n of each run.
        times: of an event in each.
        level: of the interval.

    Raises:
        ValueError: fewer than three such runs, or all of one size.
    """
    pairs = [(math.log2(n), math.log2(at.step)) for n, at in zip(counts, times, strict=True) if at.reached]
    if len(pairs) < 3 or len({n for n, _ in pairs}) < 2:
        raise ValueError(
            f"an exponent needs three runs of two sizes that reached the event, got {len(pairs)}"
        )
    fit = scipy.stats.linregress(*zip(*pairs, strict=True))
    half = scipy.stats.t.ppf((1 + level) / 2, len(pairs) - 2) * fit.stderr
    return Interval(float(fit.slope), float(fit.slope - half), float(fit.slope + half), level, len(pairs))


def detectable(points: int, *, level: float = LEVEL, power: float = 0.8) -> float:
    """The difference, in standard deviations of a point, that is seen at one rung with this probability.

    Between as many training as held-out points, by Welch's interval (normal approximation).

    Example:
        >>> round(detectable(16), 2)
        1.21
    """
    normal = scipy.stats.norm.ppf
    return float((normal((1 + level) / 2) + normal(power)) * (2 / points) ** 0.5)


def _wilson_low(true: NDArray[np.bool_]) -> list[float]:
    """Lower end of Wilson's interval of the share of each row, as `memlib.intervals.proportion` has it."""
    n, share, z = true.shape[1], true.mean(1), scipy.stats.norm.ppf((1 + LEVEL) / 2)
    centre, half = share + z**2 / (2 * n), z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    low: list[float] = ((centre - half) / (1 + z**2 / n)).clip(0).tolist()
    return low


def _lowest(values: Sequence[tuple[Array, Array]], draw: Callable[[Array], Array]) -> list[float]:
    return [_welch_low(draw(first), draw(second)) for first, second in values]


def _welch_low(first: Array, second: Array) -> float:
    spread = first.var(ddof=1) / len(first) + second.var(ddof=1) / len(second)
    if spread == 0:
        return float(first.mean() - second.mean())
    parts = [of.var(ddof=1) ** 2 / (len(of) ** 2 * (len(of) - 1)) for of in (first, second)]
    half = scipy.special.stdtrit(spread**2 / sum(parts), (1 + LEVEL) / 2) * spread**0.5
    return float(first.mean() - second.mean() - half)


def _drawing(source: np.random.Generator) -> Callable[[Array], Array]:
    """Resampling of columns that draws the same positions of the same side at every rung."""
    seed = int(source.integers(2**63))

    def draw(values: Array) -> Array:
        return values[np.random.default_rng([seed, len(values)]).integers(len(values), size=len(values))]

    return draw
