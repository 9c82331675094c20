"""Figures of detection: areas of every statistic, by question and by number of copies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.lines import Line2D

from companion import plots
from companion.prompts.detectors import Detectors, Key
from companion.prompts.questions import Question
from memlib.detection import Evaluation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from memlib.intervals import Interval


def areas(
    evaluations: Mapping[Key, Evaluation], questions: Sequence[Question], found: Detectors, steps: int
) -> Figure:
    """A panel for each question, a row for each statistic, darker for more seeds."""
    counts = sorted({count for _, _, count in evaluations})
    shades = dict(zip(counts, plt.get_cmap("Blues")(np.linspace(0.4, 1.0, len(counts))), strict=True))
    lines = -(-len(questions) // 2)
    height = (0.24 * len(found.rows) + 0.8) * lines
    figure, axes = plt.subplots(
        lines, 2, figsize=(5.4, height), sharey=True, squeeze=False, layout="constrained"
    )
    for ax, question in zip(axes.flat, questions, strict=False):
        for line, detector in enumerate(found.rows):
            for offset, count in zip(np.linspace(-0.22, 0.22, len(counts)), counts, strict=True):
                if done := evaluations.get((question.name, detector.key, count)):
                    ends = [done.auc.low, done.auc.high]
                    ax.plot(ends, [line + offset] * 2, color=shades[count], linewidth=1.4)
                    ax.plot(done.auc.value, line + offset, "o", color=shades[count], markersize=3)
        ax.axvline(0.5, color="black", linewidth=0.7)
        ax.set(title=question.words, xlim=(-0.03, 1.03))
        ax.grid(axis="y", linewidth=0.3)
    axes[0, 0].set_yticks(range(len(found.rows)), [detector.words(steps) for detector in found.rows])
    axes[0, 0].invert_yaxis()
    for ax in axes[-1]:
        ax.set_xlabel("AUC")
    handles = [
        Line2D([], [], color=shade, marker="o", markersize=4, label=f"n = {count}")
        for count, shade in shades.items()
    ]
    if len(questions) % 2:
        axes[-1, -1].axis("off")
        axes[-1, -1].legend(handles=handles, loc="center")
    else:
        figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def by_copies(
    curves: Mapping[str, Sequence[Interval]], numbers: Sequence[int], returned: Sequence[float]
) -> Figure:
    """Areas against the number of copies, and how often samples are nearest to the copied image.

    Args:
        curves: label of a statistic -> an area for each number of copies.
        numbers: of copies.
        returned: share of samples nearest to the image, for each.
    """
    figure, ax = plt.subplots(figsize=(5.6, 4.2), layout="constrained")
    for place, (label, found) in enumerate(curves.items()):
        x = np.array(numbers) * (0.92 + 0.04 * place)
        plots.interval_bars(ax, x.tolist(), found, f"C{place}", label)
    ax.plot(numbers, returned, color="black", linestyle="--", label="samples nearest to the image")
    ax.axhline(0.5, color="black", linewidth=0.6)
    plots.log_axis(ax, numbers)
    ax.set(xlabel="copies of the image $k$", ylabel="AUC; share of samples", ylim=(-0.03, 1.03))
    figure.legend(loc="outside lower center", ncols=2, fontsize=9)
    return figure
