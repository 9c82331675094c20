"""Figures of a ladder: curves against the training time, times against the size of the set, one spectrum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np

from companion import plots
from companion.onset.times import LEVEL, Array, Onset, Rungs
from memlib import intervals
from memlib.copies import RATIO

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def curves(
    runs: Mapping[int, Rungs],
    gaps: Mapping[int, Sequence[tuple[Array, Array]]],
    warned: Mapping[int, Onset],
    copied: Mapping[int, Onset],
) -> Figure:
    """A column for each set size: share of copies above, curvature at training and held-out points below.

    Args:
        runs: size -> rungs of one run.
        gaps: size -> values at training and held-out points at each rung.
        warned: size -> when the two part, a dashed line.
        copied: size -> the first copy, a dotted line.
    """
    figure, axes = plt.subplots(
        2,
        len(runs),
        figsize=(2.6 * len(runs), 4.8),
        layout="constrained",
        sharex="col",
        sharey="row",
        squeeze=False,
    )
    for column, (count, rungs) in enumerate(runs.items()):
        steps, (above, below) = list(rungs), axes[:, column]
        shares = [
            intervals.proportion(np.array(rung["ratio"]) < RATIO, level=LEVEL) for rung in rungs.values()
        ]
        plots.interval_line(above, steps, shares, plots.MEMORIZED, "copies")
        for label, color, side in (
            ("training images", plots.MEMORIZED, 0),
            ("held-out images", plots.GENERAL, 1),
        ):
            means = [intervals.mean(values[side], level=LEVEL) for values in gaps[count]]
            plots.interval_line(below, steps, means, color, label)
        for ax in (above, below):
            ax.set_xscale("log", base=2)
            for at, style in ((warned[count], "--"), (copied[count], ":")):
                if at.reached:
                    ax.axvline(at.step, color="0.4", linestyle=style)
        above.set(title=f"{count} images", ylim=(-0.03, 1.03))
        below.set(xlabel="training steps")
    axes[0, 0].set_ylabel("share of samples called copies")
    axes[1, 0].set_ylabel(r"$-\sigma_t^2\,\mathrm{tr}\,H$")
    axes[1, 0].legend()
    return figure


def times(found: Mapping[str, Mapping[int, Sequence[Onset]]], colors: Mapping[str, Any]) -> Figure:
    """When each event happens against the size of the set; hollow marks have not been reached by then.

    Args:
        found: label of an event -> size -> its time in each run.
        colors: by label.
    """
    figure, ax = plt.subplots(figsize=(5.6, 3.8), layout="constrained")
    for place, (label, by_size) in enumerate(found.items()):
        for reached in (True, False):
            points = [
                (count * 1.06 ** (place - len(found) / 2), at.step)
                for count, each in by_size.items()
                for at in each
                if at.reached is reached
            ]
            if points:
                face = colors[label] if reached else "none"
                x, y = zip(*points, strict=True)
                ax.scatter(
                    x, y, s=26, facecolors=face, edgecolors=colors[label], label=label if reached else None
                )
    ax.set_xscale("log", base=2)
    ax.set_yscale("log", base=2)
    ax.set(xlabel="training images $N$", ylabel="training steps")
    ax.legend()
    return figure


def spectrum(rungs: Rungs, passes: float) -> Figure:
    """All eigenvalues at one training and at one held-out image, a line for each rung, later ones darker.

    Args:
        rungs: with `spectrum`.
        passes: through the training images, of one step.
    """
    figure, axes = plt.subplots(1, 2, figsize=(7.6, 3.4), layout="constrained", sharey=True)
    shades = plt.colormaps["viridis_r"](np.linspace(0.05, 1, len(rungs)))
    for ax, side in zip(axes, ("training", "held_out"), strict=True):
        for shade, (step, rung) in zip(shades, rungs.items(), strict=True):
            ax.plot(sorted(rung["spectrum"][side], reverse=True), color=shade, label=f"{step * passes:.0f}")
        plots.level(ax)
        ax.set(xlabel="rank", title=f"a {side.replace('_', '-')} image")
    axes[0].set_ylabel(r"$\lambda\,\sigma_t^2$")
    handles, labels = axes[0].get_legend_handles_labels()
    kept = slice(None, None, max(1, len(labels) // 5))
    axes[1].legend(handles[kept], labels[kept], title="passes")
    return figure
