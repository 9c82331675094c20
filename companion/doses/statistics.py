"""Statistics of a network whose classes hold one image in growing numbers of copies, as tables.

Class k of a network holds real images and one more, which was copied `DOSES[k]` times.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from companion import effects, measures
from companion.recipes.dose import DOSES, REAL_IMAGES
from memlib import copies, intervals, sharpness
from memlib.intervals import Interval
from memlib.networks import DiffusionModel
from memlib.sampling import Trajectory, ddim, model_score
from memlib.score import score_at

Series = tuple[list[np.ndarray], float]
"""For each dose one number of every network, and the value that means "no effect"."""


def length_spreads(
    model: DiffusionModel,
    real: Float[Tensor, "K R C H W"],
    drawn: Mapping[int, Float[Tensor, "B C H W"]],
    t: int,
    steps: int,
    source: torch.Generator,
    device: str = "cpu",
) -> dict[str, float]:
    """Standard deviation of the length of x_t, on paths of two samplers and for noised training images.

    Args:
        model: the network with its schedule.
        real: images of the K classes, of which the first four of each are noised.
        drawn: states of ancestral paths by time index.
        t: a time index of both samplers.
        steps: sampling steps.
        source: of the noise.
        device: of the network.

    Returns:
        `ancestral`, `ddim` and `training`.
    """
    schedule = model.schedule
    labels = torch.arange(len(real), device=device).repeat_interleave(4)
    noise = torch.randn(len(labels), *real.shape[2:], generator=source)
    sampled = [schedule.timesteps(steps).index(t)]
    even = ddim(model_score(model, labels), schedule, noise.to(device), steps=steps, keep=sampled)
    noised = schedule.alpha(t).item() * real[:, :4].flatten(0, 1) + schedule.sigma(t).item() * noise
    points = {"ancestral": drawn[t], "ddim": even.states[t], "training": noised}
    return {name: x.flatten(1).norm(dim=1).std().item() for name, x in points.items()}


def judged_samples(
    real: Float[Tensor, "K R C H W"],
    copied: Float[Tensor, "K C H W"],
    drawn: Sequence[tuple[float, Float[Tensor, "B C H W"]]],
    held_out: Float[Tensor, "N C H W"],
) -> pd.DataFrame:
    """Whether samples of one network are copies of the copied image of their class.

    Args:
        real: other images of each class.
        copied: the copied image of each class.
        drawn: the guidance and the samples under it, class by class, the same number of each.
        held_out: real images that calibrate the second threshold.

    Returns:
        A row for each sample: what `measures.copies_of_first` says of it, `dose`, `guidance` and the
        calibrated `threshold`, the median over classes.
    """
    known = [torch.cat([copied[k : k + 1], real[k]]) for k in range(len(DOSES))]
    threshold = float(np.median([copies.allowed_ratio(copies.nearest(held_out, some)) for some in known]))
    parts = []
    for guidance, samples in drawn:
        for dose, some, points in zip(DOSES, known, samples.chunk(len(DOSES)), strict=True):
            found = pd.DataFrame(measures.copies_of_first(points, some, threshold))
            parts.append(found.assign(dose=dose, guidance=guidance, threshold=threshold))
    return pd.concat(parts, ignore_index=True)


def rates(
    verdicts: pd.DataFrame, guidance: float, kind: str, of_excess: Collection[int] = DOSES
) -> list[dict[str, Any]]:
    """Share of copies at each dose, and how far it is from that of a perfect model of what was drawn.

    Args:
        verdicts: what `judged_samples` gives, with a column `network`.
        guidance: of the samples.
        kind: the column that says whether a sample is a copy.
        of_excess: doses at which the share is compared.

    Returns:
        A row for each dose: `dose`, the `perfect` share k / (R + k), `rate`, an interval of Student's over
        networks, or Wilson's over samples where all networks agree, and `excess`, the rate less the perfect
        share, or None.
    """
    rows = []
    for dose in DOSES:
        some = verdicts[(verdicts["guidance"] == guidance) & (verdicts["dose"] == dose)]
        share, perfect = some.groupby("network")[kind].mean(), dose / (REAL_IMAGES + dose)
        agree = share.nunique() == 1
        rate = intervals.proportion(some[kind]) if agree else intervals.mean(share).clipped(0.0, 1.0)
        ends = {name: getattr(rate, name) - perfect for name in ("value", "low", "high")}
        excess = replace(rate, **ends) if dose in of_excess else None
        rows.append({"dose": dose, "perfect": perfect, "rate": rate, "excess": excess})
    return rows


def at_images(
    model: DiffusionModel,
    real: Float[Tensor, "K R C H W"],
    copied: Float[Tensor, "K C H W"],
    times: Sequence[int],
    *,
    repeats: int,
    others: int,
    probes: int,
    source: torch.Generator,
    device: str = "cpu",
) -> pd.DataFrame:
    """Every statistic at the copied image of each class and at other images of it, under noise.

    Args:
        model: the network with its schedule.
        real: other images of each class.
        copied: the copied image of each class.
        times: time indices.
        repeats: noises added to the copied image.
        others: other images, one noise each; the same noises for both and for all classes.
        probes: random directions behind each trace.
        source: of noises and directions.
        device: of the network.

    Returns:
        A row for each statistic, time and image: `dose`, `copied` (whether it is the copied image), `value`,
        `statistic`, `t`. The statistics are those of `measures.conditional`, and `flipd` without noise.
    """
    classes = torch.arange(len(DOSES), device=device)
    noise = torch.randn(repeats, *real.shape[2:], generator=source)
    noises = torch.cat([noise, noise.repeat(-(-others // repeats), 1, 1, 1)[:others]])
    single = torch.cat([copied[:, None], real[:, :others]], dim=1)  # (classes, 1 + others, ...)
    several = torch.cat([copied[:, None].expand(-1, repeats, -1, -1, -1), real[:, :others]], dim=1)
    of_noisy, of_clean = (classes.repeat_interleave(x.shape[1]) for x in (several, single))
    parts = []
    for t in times:
        alpha, sigma = model.schedule.alpha(t).item(), model.schedule.sigma(t).item()
        noisy = (alpha * several + sigma * noises).flatten(0, 1).to(device)
        clean = (alpha * single).flatten(0, 1).to(device)
        found = measures.conditional(model, of_noisy, noisy, t, probes, source)
        flipd = sharpness.flipd(score_at(model, t, of_clean), clean, probes=probes, generator=source)
        for name, values in (found | {"flipd": flipd.value.cpu()}).items():
            of_class = len(values) // len(DOSES)
            is_copied = np.arange(of_class) < of_class - others
            columns = {"dose": np.repeat(DOSES, of_class), "copied": np.tile(is_copied, len(DOSES))}
            parts.append(pd.DataFrame(columns | {"value": values.numpy(), "statistic": name, "t": t}))
    return pd.concat(parts, ignore_index=True)


def spectra_at_images(
    model: DiffusionModel,
    real: Float[Tensor, "K R C H W"],
    copied: Float[Tensor, "K C H W"],
    t: int,
    *,
    repeats: int,
    source: torch.Generator,
    device: str = "cpu",
) -> pd.DataFrame:
    """What whole spectra say at the copied image of each class and at other images, under the same noises.

    Args:
        model: the network with its schedule.
        real: other images of each class, of which the first `repeats` are looked at.
        copied: the copied image of each class.
        t: time index.
        repeats: noises.
        source: of the noises.
        device: of the network.

    Returns:
        A row for each image: what `measures.whole_spectra` gives, `copied` and `dose`.
    """
    alpha, sigma = model.schedule.alpha(t).item(), model.schedule.sigma(t).item()
    noise = torch.randn(repeats, *real.shape[2:], generator=source)
    parts = []
    for k, dose in enumerate(DOSES):
        chosen = torch.cat([copied[k].expand(repeats, -1, -1, -1), real[k, :repeats]])
        x = (alpha * chosen + sigma * noise.repeat(2, 1, 1, 1)).to(device)
        found = pd.DataFrame(measures.whole_spectra(model, k, x, t))
        parts.append(found.assign(copied=np.arange(2 * repeats) < repeats, dose=dose))
    return pd.concat(parts, ignore_index=True)


def responses(
    areas: pd.Series, names: Sequence[str], whole: pd.DataFrame, t: int
) -> dict[tuple[str, int], Series]:
    """How much every statistic points to the copied image, dose by dose: what should grow with the dose.

    Args:
        areas: AUC by statistic, t, dose and network, where one half is no effect.
        names: the statistics.
        whole: what `spectra_at_images` gives, with a column `network`.
        t: its time index.

    Returns:
        Statistic and time -> its series: areas, and for `count` and `dimension` the mean at other images
        of the network less that at the copied image, where 0 is no effect.
    """
    found: dict[tuple[str, int], Series] = {}
    for name, time in itertools.product(names, areas.index.unique("t")):
        found[name, time] = [areas[name, time, dose].to_numpy() for dose in DOSES], 0.5
    for name in ("count", "dimension"):
        ordinary = whole[~whole["copied"]].groupby("network")[name].mean()
        at_copied = whole[whole["copied"]].groupby(["dose", "network"])[name].mean()
        found[name, t] = [(ordinary - at_copied[dose]).to_numpy() for dose in DOSES], 0.0
    return found


def smallest_sure(estimates: Sequence[Interval], null: float, doses: Sequence[int] = DOSES[1:]) -> float:
    """The smallest dose from which on all intervals lie above `null`; infinite if the last does not.

    Args:
        estimates: one for each of `doses`.
        null: the value without effect.
        doses: ascending.

    Example:
        >>> smallest_sure([Interval(0.5, 0.4, 0.6, 0.95, 5), Interval(0.9, 0.8, 1.0, 0.95, 5)], 0.5, [10, 30])
        30.0
    """
    first = effects.first_sure(estimates, null, above=True)
    return math.inf if first is None else float(doses[first])


def on_paths(
    model: DiffusionModel,
    trajectory: Trajectory,
    is_copy: Mapping[int, np.ndarray],
    probes: int,
    source: torch.Generator,
) -> list[pd.DataFrame]:
    """Statistics at the states of samples, for doses at which some samples become copies and some do not.

    Args:
        model: the network with its schedule.
        trajectory: of its samples, class by class, the same number of each.
        is_copy: dose -> which of its samples are copies.
        probes: random directions behind each trace.
        source: of the directions.

    Returns:
        A table for each dose, state and statistic of `measures.conditional`, with a row for each sample:
        `value`, `copied`, `statistic`, `t`, `dose`. Doses at which all samples are copies, or none, are left
        out.
    """
    parts = []
    for dose, copied in is_copy.items():
        k, count = DOSES.index(dose), len(copied)
        if not 0 < copied.sum() < count:
            continue
        for t, states in trajectory.states.items():
            x = states[k * count : (k + 1) * count]
            labels = torch.full((count,), k, device=x.device)
            for name, values in measures.conditional(model, labels, x, int(t), probes, source).items():
                columns = {"value": values.numpy(), "copied": copied, "statistic": name}
                parts.append(pd.DataFrame(columns).assign(t=t, dose=dose))
    return parts
