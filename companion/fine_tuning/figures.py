"""Figures of fine-tunes: values by group, areas by statistic, quality of the list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np

from companion import plots

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from memlib.intervals import Interval

Group = tuple["NDArray[np.float64]", "NDArray[np.bool_]"]
"""Values of captions, and which of them count as reproduced."""


def strips(panels: Mapping[str, Mapping[str, Group]], ylabel: str) -> Figure:
    """A panel for each model, in it a strip of dots for each group of captions, filled where reproduced."""
    figure, axes = plt.subplots(
        1, len(panels), figsize=(3.3 * len(panels), 3.4), sharey=True, squeeze=False, layout="constrained"
    )
    for ax, (title, groups) in zip(axes[0], panels.items(), strict=True):
        for column, (values, reproduced) in enumerate(groups.values()):
            x = column + np.linspace(-0.28, 0.28, len(values)) if len(values) > 1 else np.full(1, column)
            for mask, color, face in (
                (reproduced, plots.MEMORIZED, plots.MEMORIZED),
                (~reproduced, plots.GENERAL, "none"),
            ):
                ax.scatter(x[mask], values[mask], s=16, edgecolors=color, facecolors=face, linewidths=0.9)
        plots.level(ax)
        ax.set(title=title)
        ax.set_xticks(range(len(groups)), list(groups))
    axes[0, 0].set_ylabel(ylabel)
    for label, color, face in (
        ("reproduced", plots.MEMORIZED, plots.MEMORIZED),
        ("not", plots.GENERAL, "none"),
    ):
        axes[0, -1].scatter([], [], s=16, edgecolors=color, facecolors=face, label=label)
    axes[0, -1].legend()
    return figure


def areas(found: Mapping[str, Mapping[str, Interval]]) -> Figure:
    """A panel for each question and in it a row for each statistic, with intervals."""
    figure, axes = plt.subplots(
        1, len(found), figsize=(2.3 * len(found) + 1.2, 2.6), sharey=True, squeeze=False, layout="constrained"
    )
    for ax, (question, estimates) in zip(axes[0], found.items(), strict=True):
        for line, one in enumerate(estimates.values()):
            ax.plot([one.low, one.high], [line, line], color=plots.NEUTRAL, linewidth=1.4)
            ax.plot(one.value, line, "o", color=plots.MEMORIZED, markersize=4)
        ax.axvline(0.5, color="black", linewidth=0.7)
        ax.set(title=question, xlim=(-0.03, 1.03), xlabel="AUC")
        ax.grid(axis="y", linewidth=0.3)
    axes[0, 0].set_yticks(range(len(estimates)), list(estimates))
    axes[0, 0].invert_yaxis()
    return figure


def list_quality(
    numbers: Sequence[int],
    found: Mapping[str, Sequence[Interval]],
    false: Mapping[str, Sequence[Interval]],
    rate: float,
) -> Figure:
    """Shares of the memorized captions that are listed and of the list that is harmless, by its calibration.

    Args:
        numbers: of harmless captions.
        found: label -> the first share for each number.
        false: label -> the second.
        rate: that the second should not exceed.
    """
    figure, axes = plt.subplots(1, 2, figsize=(7.2, 3.2), layout="constrained")
    tones = dict(zip(found, (plots.MEMORIZED, plots.GENERAL), strict=False))
    for ax, series in zip(axes, (found, false), strict=True):
        plots.interval_lines(ax, numbers, series, tones)
        plots.log_axis(ax, numbers)
        ax.set(xlabel="harmless captions")
    axes[0].set(ylabel="share of memorized captions listed", ylim=(-0.03, 1.03))
    axes[1].set(ylabel="harmless share of the list", ylim=(0, None))
    axes[1].axhline(rate, color="black", linewidth=0.7, linestyle="--")
    axes[0].legend()
    return figure
