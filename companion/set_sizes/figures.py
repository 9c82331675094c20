"""Figures against the size of the training set and along the sampling path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt

from companion import measures, plots

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from memlib.copies import Neighbours
    from memlib.intervals import Interval

PAIRS = {
    "same_noise": (plots.GENERAL, "o-"),
    "nearest_image": (plots.MEMORIZED, "s-"),
    "nearest_image_of_the_other_half": (plots.NEUTRAL, "^--"),
}
"""Correlations that are drawn -> colour and style."""


def copies(
    shares: Mapping[str, Sequence[Interval]],
    found: Mapping[int, Neighbours],
    held_out: Mapping[int, Neighbours],
    dimension: int,
) -> Figure:
    """Copied share against the size of the training set, and boxes of distances to the nearest image.

    Args:
        shares: two labels of thresholds -> a share for each size.
        found: size -> the nearest training images of the samples.
        held_out: the same of held-out images.
        dimension: numbers of an image, so that distances are root mean squares.
    """
    sizes = list(found)
    figure, axes = plt.subplots(1, 2, figsize=(7.6, 3.3), layout="constrained")
    tones = dict(zip(shares, (plots.MEMORIZED, plots.NEUTRAL), strict=True))
    plots.interval_lines(axes[0], sizes, shares, tones)
    plots.log_axis(axes[0], sizes)
    axes[0].set(xlabel="training images $N$", ylabel="share of samples called copies", ylim=(-0.03, 1.03))
    distances = {
        label: [some[size].distance.numpy() / dimension**0.5 for size in sizes]
        for label, some in (("held-out images", held_out), ("samples", found))
    }
    plots.boxes(axes[1], distances, {"held-out images": plots.NEUTRAL, "samples": plots.MEMORIZED})
    axes[1].set_xticks(range(len(sizes)), [f"{size:,}" for size in sizes])
    axes[1].set(xlabel="training images $N$", ylabel="distance to the nearest (r.m.s.)", ylim=(0, None))
    for ax in axes:
        ax.legend()
    return figure


def agreement(
    correlations: Mapping[tuple[str, int], Interval],
    disagreement: Mapping[str, Sequence[Interval]],
    gap: Mapping[str, Sequence[Interval]],
    times: Sequence[int],
    colors: Mapping[str, Any],
) -> Figure:
    """Two networks that share no image: correlations of samples, disagreement, and errors on held-out images.

    Args:
        correlations: pair of `PAIRS` and size -> mean correlation.
        disagreement: label of a size -> one for each time.
        gap: label of a size -> error on held-out over seen images, one for each time.
        times: time indices.
        colors: by label.
    """
    sizes = list(dict.fromkeys(size for _, size in correlations))
    figure, axes = plt.subplots(1, 3, figsize=(9.6, 3.3), layout="constrained")
    for pair, (color, style) in PAIRS.items():
        estimates = [correlations[pair, size] for size in sizes]
        plots.interval_line(axes[0], sizes, estimates, color, pair.replace("_", " "), style)
    plots.log_axis(axes[0], sizes)
    axes[0].set(xlabel="training images $N$", ylabel="correlation", ylim=(0, 1.02))
    axes[0].legend()
    for ax, series in zip(axes[1:], (disagreement, gap), strict=True):
        plots.interval_lines(ax, times, series, colors)
        plots.time_axis(ax, times)
    axes[1].set(ylabel="disagreement", ylim=(0, None))
    axes[2].set(ylabel="error on held-out over seen", yscale="log")
    axes[2].legend()
    return figure


def areas(
    found: Mapping[tuple[str, int, str], Interval], asked: Mapping[str, str], colors: Sequence[Any]
) -> Figure:
    """A panel for each statistic of `measures.TITLES`, a line for each question, against time.

    Args:
        found: question, t, statistic -> area under the ROC curve.
        asked: question -> its words.
        colors: one for each question.
    """
    times = list(dict.fromkeys(t for _, t, _ in found))
    figure, axes = plt.subplots(4, 2, figsize=(7.2, 8.4), layout="constrained", sharex=True, sharey=True)
    for ax, (name, title) in zip(axes.flat, measures.TITLES.items(), strict=False):
        series = {text: [found[question, t, name] for t in times] for question, text in asked.items()}
        plots.interval_lines(ax, times, series, dict(zip(series, colors, strict=True)))
        plots.level(ax, 0.5)
        plots.time_axis(ax, times)
        ax.set(title=title, ylim=(0, 1.02))
    for ax in axes[:, 0]:
        ax.set_ylabel("AUC")
    axes[-1, 1].axis("off")
    axes[-1, 1].legend(*axes[0, 0].get_legend_handles_labels(), loc="center left")
    return figure
