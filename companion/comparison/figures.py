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


def escapes(found: Sequence[Mapping[str, Any]]) -> Figure:
    """What becomes of copied noises: methods, beside fresh noise at their price and random moves.

    Args:
        found: rows with a "name" and the intervals "method", "same price" and "same length", or None.
    """
    looks = {"method": ("C3", "o"), "same price": ("C0", "s"), "same length": (plots.NEUTRAL, "D")}
    names = {"method": "the method", "same price": "fresh noise at its price", "same length": "a random move"}
    figure, ax = plt.subplots(figsize=(6.5, 0.5 * len(found) + 1.4), layout="constrained")
    for shift, (what, (color, marker)) in zip((-0.2, 0.0, 0.2), looks.items(), strict=True):
        some = [(line + shift, row[what]) for line, row in enumerate(found) if row[what] is not None]
        ax.plot([e.value for _, e in some], [y for y, _ in some], marker, color=color, label=names[what])
        ax.hlines([y for y, _ in some], [e.low for _, e in some], [e.high for _, e in some], color=color)
    ax.set(xlabel="share of copied noises that end elsewhere", xlim=(-0.03, 1.03))
    ax.set_yticks(range(len(found)), [row["name"] for row in found])
    ax.invert_yaxis()
    figure.legend(loc="outside lower center", ncols=2, fontsize=9)
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
