"""Figures of a comparison of mitigations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt

from companion import plots

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from memlib.intervals import Interval

_MARKERS = {"none": "*", "retrained": "D"}


def tradeoffs(table: pd.DataFrame, spaces: Sequence[str], height: float = 4.0) -> Figure:
    """Similarity against agreement with the prompt, a panel for each space, the settings of a method joined.

    Args:
        table: as `companion.comparison.report.tradeoff` gives it.
        spaces: its columns of similarity that are drawn.
        height: of a panel, in inches.
    """
    figure, axes = plt.subplots(
        len(spaces), 1, figsize=(6.5, height * len(spaces)), layout="constrained", sharex=True, squeeze=False
    )
    groups = {name: table[table["method"] == name] for name in table["method"].unique()}
    colors = dict(zip(groups, ["#000000", *map(plt.get_cmap("tab10"), range(10))], strict=False))
    for ax, space in zip(axes.flat, spaces, strict=True):
        for name, some in groups.items():
            x, y, marker = some["agree"].tolist(), some[space].tolist(), _MARKERS.get(name, "o")
            plots.crossed_intervals(ax, x, y, colors[name], name, marker=marker)
        ax.set(ylabel=f"similarity, {space}")
    axes[-1, 0].set(xlabel="agreement with the prompt")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=9)
    return figure


def noise_and_outcome(images: pd.DataFrame, names: Sequence[str], similarity: str) -> Figure:
    """Similarity of what came out against the statistic at the noise, a colour for each caption.

    Args:
        images: with the columns "caption", "statistic" and the similarity.
        names: of the captions.
        similarity: the column.
    """
    figure, ax = plt.subplots(figsize=(6.5, 4), layout="constrained")
    for number, some in images.groupby("caption"):
        color = plt.get_cmap("tab10")(number)
        ax.scatter(some["statistic"], some[similarity], s=14, color=color, label=names[number])
    ax.set(xscale="log", xlabel="$\\Vert H_\\Delta s_\\Delta \\Vert$ at the noise")
    ax.set(ylabel=f"similarity, {similarity}")
    figure.legend(loc="outside lower center", ncols=4, fontsize=8)
    return figure


def before_and_after(areas: Mapping[tuple[str, str, str], Interval]) -> Figure:
    """Areas of statistics against general captions, before and after half of the captions lost their copies.

    Args:
        areas: by statistic, captions ("kept" or "removed") and training ("before" or "after").
    """
    figure, ax = plt.subplots(figsize=(6.5, 5), layout="constrained")
    names = list(dict.fromkeys(name for name, _, _ in areas))
    looks: dict[tuple[str, str], tuple[str, str, str, float]] = {
        ("kept", "before"): (plots.MEMORIZED, "white", "s", -0.24),
        ("kept", "after"): (plots.MEMORIZED, plots.MEMORIZED, "s", -0.08),
        ("removed", "before"): (plots.GENERAL, "white", "o", 0.08),
        ("removed", "after"): (plots.GENERAL, plots.GENERAL, "o", 0.24),
    }
    for (captions, training), (color, fill, marker, shift) in looks.items():
        found = [areas[name, captions, training] for name in names]
        bars: Any = ([e.value - e.low for e in found], [e.high - e.value for e in found])
        ax.errorbar(
            [e.value for e in found],
            [line + shift for line in range(len(names))],
            xerr=bars,
            fmt=marker,
            color=color,
            markerfacecolor=fill,
            linewidth=1,
            markersize=5,
            label=f"copies {captions}, {training}",
        )
    ax.axvline(0.5, color=plots.NEUTRAL, linewidth=0.8)
    ax.set(xlabel="AUC against general captions", xlim=(-0.03, 1.03))
    ax.set_yticks(range(len(names)), names)
    ax.invert_yaxis()
    figure.legend(loc="outside lower center", ncols=2, fontsize=9)
    return figure
