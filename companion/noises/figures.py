"""A figure of what tells which noises end in the copy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt

from companion import plots

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def areas_figure(found: Mapping[str, Sequence[Mapping[str, Any]]], guidance: Sequence[float]) -> Figure:
    """Areas of each statistic with intervals, a panel for each guidance, a colour for each source.

    Args:
        found: name of the source, such as "model" -> rows as `pooled` gives them by guidance. The first
            source has filled marks, the others empty ones.
        guidance: the scales, a panel each.
    """
    names = list(dict.fromkeys(row["statistic"] for rows in found.values() for row in rows))
    size = (6.5, 0.35 * len(names) + 1.6)
    figure, axes = plt.subplots(
        1, len(guidance), figsize=size, layout="constrained", sharey=True, squeeze=False
    )
    colors = dict(zip(found, ("C3", "C0", "C2"), strict=False))
    for ax, scale in zip(axes.flat, guidance, strict=True):
        ax.axvline(0.5, color=plots.NEUTRAL, linewidth=0.8)
        for k, (source, rows) in enumerate(found.items()):
            here = [row for row in rows if row["guidance"] == scale]
            lines = [names.index(row["statistic"]) + 0.24 * k for row in here]
            look = {"color": colors[source], "markerfacecolor": "white" if k else colors[source]}
            ax.plot([row["AUC"].value for row in here], lines, "o", markersize=5, label=source, **look)
            bounds = [[getattr(row["AUC"], end) for row in here] for end in ("low", "high")]
            ax.hlines(lines, *bounds, color=colors[source], linewidth=1)
        ax.set(title=f"guidance {scale:g}", xlabel="AUC within captions", xlim=(-0.03, 1.03))
    axes[0, 0].set_yticks(range(len(names)), names)
    axes[0, 0].invert_yaxis()
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=9)
    return figure
