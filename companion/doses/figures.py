"""Figures against the number of copies: statistics at images, and how well they tell the copied one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from companion import effects, plots
from companion.recipes.dose import DOSES
from memlib import intervals

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from memlib.intervals import Interval

KINDS = {True: ("copied image", plots.MEMORIZED, "o"), False: ("other images", plots.GENERAL, "s")}
"""Whether an image is the copied one -> label, colour and marker."""


def values(means: pd.Series, titles: Mapping[str, str], geometric: Collection[str]) -> Figure:
    """A row for each statistic, a column for each time: means at the copied image and at others.

    Args:
        means: by statistic, t, copied, dose and network; the intervals run over networks.
        titles: statistic -> its title, in the order of the rows.
        geometric: statistics that range over orders of magnitude, drawn on a logarithmic axis.
    """
    times = means.index.unique("t")
    figure, axes = plt.subplots(
        len(titles),
        len(times),
        sharex=True,
        squeeze=False,
        figsize=(2.5 * len(times), 2.0 * len(titles)),
        layout="constrained",
    )
    for row, (name, title) in zip(axes, titles.items(), strict=True):
        average = effects.geometric_mean if name in geometric else intervals.mean
        for ax, t in zip(row, times, strict=True):
            for copied, (label, color, marker) in KINDS.items():
                estimates = [average(means[name, t, copied, dose]) for dose in DOSES]
                plots.interval_bars(ax, DOSES, estimates, color, label, marker)
            plots.dose_axis(ax, [0, 1, 10, 100, 1000])
            ax.set_xlabel("")
            ax.tick_params(axis="x", labelsize=8)
            if name in geometric:
                ax.set_yscale("log")
                ax.yaxis.set_minor_formatter("")
        row[0].set_ylabel(title)
    for top, bottom, t in zip(axes[0], axes[-1], times, strict=True):
        top.set_title(f"$t={t}$")
        bottom.set_xlabel("copies $k$")
    axes[0, 0].legend(loc="best", fontsize=8)
    return figure


def areas(found: Mapping[tuple[str, int], Sequence[Interval]], titles: Mapping[str, str]) -> Figure:
    """A panel for each statistic, a line for each time: how well it tells the copied image from others.

    Args:
        found: statistic and time -> an area under the ROC curve for each dose.
        titles: statistic -> its title; four at most.
    """
    times = sorted({t for name, t in found if name in titles})
    shades = plt.get_cmap("viridis")(np.linspace(0, 0.75, len(times)))
    figure, axes = plt.subplots(2, 2, figsize=(8, 5.6), sharey=True, layout="constrained")
    for ax, (name, title) in zip(axes.flat, titles.items(), strict=False):
        plots.level(ax, 0.5)
        for j, (t, shade) in enumerate(zip(times, shades, strict=True)):
            moved = np.array(DOSES) * (0.92 + 0.05 * j)
            plots.interval_bars(ax, moved.tolist(), found[name, t], shade, f"$t={t}$", "osD^"[j % 4])
        plots.dose_axis(ax, DOSES)
        ax.set(title=title, ylim=(-0.02, 1.05))
    for ax in axes[:, 0]:
        ax.set_ylabel("AUC")
    axes[0, 0].legend(loc="lower right", fontsize=8)
    return figure


def whole(table: pd.DataFrame, titles: Mapping[str, str]) -> Figure:
    """A panel for each quantity of whole spectra: its mean at the copied image and at others.

    Args:
        table: a row for each image, with `copied`, `dose`, `network` and the quantities, which are >= 0.
        titles: quantity -> its title.
    """
    figure, axes = plt.subplots(
        1, len(titles), figsize=(4 * len(titles), 3.2), squeeze=False, layout="constrained"
    )
    for ax, (name, title) in zip(axes[0], titles.items(), strict=True):
        per_network = table.groupby(["copied", "dose", "network"])[name].mean()
        for copied, (label, color, marker) in KINDS.items():
            estimates = [intervals.mean(per_network[copied, dose]).clipped(low=0.0) for dose in DOSES]
            plots.interval_bars(ax, DOSES, estimates, color, label, marker)
        plots.dose_axis(ax, DOSES)
        ax.set(title=title)
    axes[0, 0].legend(loc="lower left")
    return figure
