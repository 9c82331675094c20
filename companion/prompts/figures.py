"""Figures of detection: areas of every statistic, captions one by one, copies, products."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import ticker
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


def dots(
    groups: Mapping[str, Sequence[int]],
    values: Mapping[str, np.ndarray],
    colors: Mapping[str, Any],
    seed: int = 0,
) -> Figure:
    """A panel for each statistic, a row for each group of captions, a dot for each caption.

    Args:
        groups: name -> places of captions.
        values: label of a statistic -> `(P, n)` values, whose mean over seeds is drawn.
        colors: by group.
        seed: of the heights of the dots within a row.
    """
    figure, axes = plt.subplots(
        1,
        len(values),
        figsize=(3.2 * len(values), 0.3 * len(groups) + 1.0),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    jitter = np.random.default_rng(seed)
    for ax, (label, numbers) in zip(axes[0], values.items(), strict=True):
        for line, (name, places) in enumerate(groups.items()):
            height = line + jitter.uniform(-0.25, 0.25, len(places))
            means = numbers[list(places)].mean(1)
            ax.plot(means, height, "o", color=colors[name], markersize=3.5, alpha=0.6, markeredgewidth=0)
        ax.set(xscale="log", xlabel=label)
        ax.grid(axis="y", linewidth=0.3)
    first = axes[0, 0]
    first.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    first.xaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
    first.xaxis.set_minor_formatter(ticker.NullFormatter())
    first.set_yticks(range(len(groups)), list(groups))
    first.invert_yaxis()
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


def products(norms: Mapping[str, np.ndarray], colors: Sequence[Any]) -> Figure:
    """Norms `(P, n)` by every further product against those by the first, captions in their colours."""
    (first, x), *others = norms.items()
    figure, axes = plt.subplots(
        1, len(others), figsize=(3.2 * len(others), 3.2), layout="constrained", squeeze=False
    )
    ends = [x.min(), x.max()]
    for ax, (name, y) in zip(axes[0], others, strict=True):
        for color, own, theirs in zip(colors, x, y, strict=True):
            ax.plot(own, theirs, "o", color=color, markersize=3, alpha=0.6, markeredgewidth=0)
        ax.plot(ends, ends, color="black", linewidth=0.6)
        ax.set(xscale="log", yscale="log", ylabel=f"by {name}")
        ax.set(xlabel=rf"$\|H_\Delta s_\Delta\|$ by {first}")
    return figure
