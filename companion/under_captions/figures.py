"""Figures of spectra under captions and of maps of what is memorized."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from companion import plots
from companion.under_captions.kinds import KINDS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from memlib.intervals import Interval

SCALED = r"$\lambda\,\sigma_t^2$"
NEAR_ZERO = (-0.1, 0.06)
"""Range of scaled eigenvalues in which the upper ends of spectra at the last step are shown."""
Spectra = Mapping[str, Mapping[str, np.ndarray]]
"""Title of a panel -> kind -> scaled eigenvalues `(samples, d)`, ascending."""


def both_ends(panels: Spectra, largest: int = 48) -> Figure:
    """Spectra at the first and the last step, whole above and their largest eigenvalues below."""
    figure, axes = plt.subplots(2, 2, figsize=(6.4, 6), layout="constrained")
    for column, (title, groups) in zip(axes.T, panels.items(), strict=True):
        for kind, values in groups.items():
            color, label = KINDS[kind]
            plots.spectra(column[0], values, color, label)
            plots.spectra(column[1], values, color, label, largest=min(largest, values.shape[1]))
        column[0].set(title=title, xlabel="")
    plots.level(axes.flat)
    axes[1, 1].set(ylim=NEAR_ZERO)
    for ax in axes[:, 0]:
        ax.set(ylabel=SCALED)
    figure.legend(*axes[0, 1].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def upper_ends(panels: Spectra, largest: int = 48) -> Figure:
    """The largest eigenvalues of one caption of each kind, a line for each noise."""
    figure, axes = plt.subplots(1, 2, figsize=(6.4, 3.5), layout="constrained")
    for ax, (title, groups) in zip(axes, panels.items(), strict=True):
        for kind, values in groups.items():
            color, label = KINDS[kind]
            top = min(largest, values.shape[1])
            index = np.arange(values.shape[1] - top + 1, values.shape[1] + 1)
            lines = ax.plot(index, values[:, -top:].T, color=color, linewidth=0.8)
            lines[0].set_label(label)
        ax.set(title=title, xlabel="index of the eigenvalue")
    plots.level(axes)
    axes[1].set(ylim=NEAR_ZERO)
    axes[0].set(ylabel=SCALED)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def against_copies(
    panels: Mapping[str, tuple[str, Mapping[int, Interval], Mapping[str, Interval]]],
) -> Figure:
    """A quantity under exact captions against the number of copies; bands are other kinds.

    Args:
        panels: title -> label of the quantity, its means by number of copies, and those of other kinds.
    """
    figure, axes = plt.subplots(1, len(panels), figsize=(6.4, 3.5), layout="constrained", squeeze=False)
    for ax, (title, (label, exact, others)) in zip(axes[0], panels.items(), strict=True):
        plots.interval_bars(ax, list(exact), list(exact.values()), KINDS["exact"][0], "exact")
        for kind, estimate in others.items():
            color, name = KINDS[kind]
            ax.axhspan(estimate.low, estimate.high, color=color, alpha=0.2, linewidth=0)
            ax.axhline(estimate.value, color=color, linewidth=1, label=name)
        ax.set(xscale="log", xlabel="copies of the image $k$", title=title, ylabel=label)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def with_and_without(means: Mapping[str, Mapping[int, Interval]], panels: Spectra) -> Figure:
    """Differences that a caption makes: their mean over time, and sorted spectra subtracted at both ends.

    Args:
        means: kind -> time index -> mean eigenvalue under the caption less that without.
        panels: differences of sorted spectra.
    """
    figure, places = plt.subplot_mosaic(
        [["mean", "mean"], ["first", "last"]], figsize=(6.4, 6), layout="constrained"
    )
    for kind, by_time in means.items():
        color, label = KINDS[kind]
        plots.interval_line(places["mean"], list(by_time), list(by_time.values()), color, label)
        plots.time_axis(places["mean"], list(by_time))
    for name, (title, groups) in zip(("first", "last"), panels.items(), strict=True):
        for kind, values in groups.items():
            plots.spectra(places[name], values, *KINDS[kind])
        places[name].set(title=title)
    plots.level(places.values())
    places["mean"].set(ylabel=f"difference of {SCALED}", title="mean")
    places["mean"].legend()
    return figure


def maps(
    pictures: Float[Tensor, "P 3 H W"],
    masks: Bool[Tensor, "P h w"],
    found: Mapping[str, Float[Tensor, "P h w"]],
) -> Figure:
    """A row for each caption: its sample in [0, 1], the part that is fixed, and maps by their titles."""
    columns = 2 + len(found)
    figure, axes = plt.subplots(
        len(pictures),
        columns,
        figsize=(1.25 * columns, 1.25 * len(pictures) + 0.4),
        squeeze=False,
        layout="constrained",
    )
    for row, line in enumerate(axes):
        line[0].imshow(pictures[row].permute(1, 2, 0).numpy())
        line[1].imshow(masks[row].numpy(), cmap="gray", vmin=0, vmax=1)
        for ax, values in zip(line[2:], found.values(), strict=True):
            ax.imshow(torch.as_tensor(values[row]).numpy())
        for ax in line:
            ax.set(xticks=[], yticks=[])
    for ax, title in zip(axes[0], ["sample", "fixed part", *found], strict=True):
        ax.set_title(title, fontsize=9)
    return figure


def overlap(lines: Mapping[str, Sequence[Interval]], times: Sequence[int], chance: float) -> Figure:
    """Overlap with the fixed part along the path, a line for each map; grey is what chance gives."""
    figure, ax = plt.subplots(figsize=(6, 3.6), layout="constrained")
    colors = dict(zip(lines, (plots.MEMORIZED, plots.GENERAL, "#b35806", "#1b7837"), strict=False))
    plots.interval_lines(ax, times, lines, colors)
    plots.time_axis(ax, times)
    ax.axhline(chance, color=plots.NEUTRAL, linestyle="--", linewidth=1, label="chance")
    ax.set(ylabel="intersection over union", ylim=(0, 1.02))
    ax.legend(fontsize=8)
    return figure
