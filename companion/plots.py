"""Figures of the book: arrays in, matplotlib figures out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from memlib.intervals import Interval

MEMORIZED, GENERAL, NEUTRAL = "#c2372b", "#2166ac", "#5a5a5a"
"""The paper's red and blue, dark enough for small text on white, and a grey for everything else."""

STYLE = {
    "figure.dpi": 110,
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "image.cmap": "viridis",
}


def use_style() -> None:
    """Set the book's matplotlib style for this process."""
    mpl.style.use(STYLE)


def plane(extent: float, points: int) -> np.ndarray:
    """A square grid `(points * points, 2)` over [-extent, extent]^2, x fastest."""
    axis = np.linspace(-extent, extent, points)
    return np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)


def density(ax: Axes, log_density: np.ndarray, extent: float, depth: float = 14.0) -> None:
    """Log density `(points * points,)` over `plane(extent, points)`, cut `depth` below its largest value."""
    side = round(len(log_density) ** 0.5)
    image = np.clip(log_density - log_density.max(), -depth, 0).reshape(side, side)
    ax.imshow(
        image,
        origin="lower",
        extent=(-extent, extent, -extent, extent),
        interpolation="bilinear",
        vmin=-depth,
        vmax=0,
    )
    ax.set(xticks=[], yticks=[], aspect="equal")
    ax.spines[:].set_visible(False)


def arrows(ax: Axes, where: np.ndarray, vectors: np.ndarray, color: str = "white") -> None:
    """Vectors at points, both `(N, 2)`, drawn with lengths compressed so that near and far are both seen."""
    norm = np.linalg.norm(vectors, axis=1, keepdims=True)
    shown = vectors / np.maximum(norm, 1e-12) * np.log1p(norm)
    ax.quiver(*where.T, *shown.T, color=color, width=0.004, alpha=0.9)


def density_panels(
    rows: Mapping[str, Sequence[tuple[np.ndarray, np.ndarray]]],
    titles: Sequence[str],
    where: np.ndarray,
    extent: float,
) -> Figure:
    """A grid of landscapes: per row, one (log density on a `plane`, vectors at `where`) for each title."""
    figure, axes = plt.subplots(
        len(rows),
        len(titles),
        figsize=(2.5 * len(titles), 2.6 * len(rows)),
        squeeze=False,
        layout="constrained",
    )
    for line, (name, panels) in zip(axes, rows.items(), strict=True):
        line[0].set_ylabel(name)
        for ax, (log_density, vectors) in zip(line, panels, strict=True):
            density(ax, log_density, extent)
            arrows(ax, where, vectors)
    for ax, title in zip(axes[0], titles, strict=True):
        ax.set_title(title)
    return figure


def band(ax: Axes, x: np.ndarray, values: np.ndarray, color: str, label: str, coverage: float = 0.9) -> None:
    """Median over samples and the band that holds `coverage` of them; values `(samples, len(x))`."""
    tail = 100 * (1 - coverage) / 2
    low, middle, high = np.percentile(values, [tail, 50, 100 - tail], axis=0)
    ax.plot(x, middle, color=color, label=label)
    ax.fill_between(x, low, high, color=color, alpha=0.2, linewidth=0)


def ranges(ax: Axes, table: pd.DataFrame, line: str, cross: str, color: Any, label: str) -> None:
    """Two columns against the column `t` of a table: means as a line and as crosses, with ranges."""
    found = table.groupby("t")[[line, cross]].agg(["mean", "min", "max"])
    t, middle = found.index, found[cross, "mean"]
    ax.plot(t, found[line, "mean"], color=color, label=label)
    ax.fill_between(t, found[line, "min"], found[line, "max"], color=color, alpha=0.15, linewidth=0)
    lengths = [middle - found[cross, "min"], found[cross, "max"] - middle]
    ax.errorbar(t, middle, lengths, fmt="x", color=color)


def boxes(ax: Axes, groups: Mapping[str, Sequence[np.ndarray]], colors: Mapping[str, Any]) -> None:
    """For each label boxes at 0, 1, ..., side by side: half of the values, with whiskers around 95 %."""
    for k, (label, samples) in enumerate(groups.items()):
        shift = (k - (len(groups) - 1) / 2) * 0.32
        parts = ax.boxplot(
            samples,
            positions=np.arange(len(samples)) + shift,
            widths=0.26,
            whis=(2.5, 97.5),
            showfliers=False,
        )
        for line in chain(*parts.values()):
            line.set_color(colors[label])
        ax.plot([], [], color=colors[label], label=label)


def dose_axis(ax: Axes, doses: Sequence[int]) -> None:
    """Numbers of copies from 0 on along x, on a logarithmic scale above 1, with a tick at each of `doses`."""
    ax.set_xscale("symlog", linthresh=1, linscale=0.4)
    ax.set(xlabel="copies of the image $k$", xlim=(-0.15, 1.5 * max(doses)))
    ax.set_xticks(doses, [f"{dose:,}" for dose in doses])


def interval_line(
    ax: Axes, x: Sequence[float], estimates: Sequence[Interval], color: str, label: str, style: str = "o-"
) -> None:
    """Estimates joined by a line, with their intervals as a band."""
    ax.plot(x, [e.value for e in estimates], style, color=color, label=label, markersize=3.5)
    low, high = [e.low for e in estimates], [e.high for e in estimates]
    ax.fill_between(x, low, high, color=color, alpha=0.2, linewidth=0)


def interval_dots(
    ax: Axes, x: Sequence[float], estimates: Iterable[Interval], color: str, label: str
) -> None:
    """Estimates as dots, with their intervals as lines."""
    found = list(estimates)
    ax.plot(x, [e.value for e in found], "o", markersize=4, color=color, label=label)
    ax.vlines(x, [e.low for e in found], [e.high for e in found], color=color)


def interval_bars(
    ax: Axes, x: Sequence[float], estimates: Sequence[Interval], color: str, label: str, marker: str = "o"
) -> None:
    """Estimates joined by a thin line, with their intervals as bars, for series at the same places."""
    ax.errorbar(
        x,
        [e.value for e in estimates],
        yerr=_bars(estimates),
        fmt=f"{marker}-",
        color=color,
        linewidth=1,
        elinewidth=0.8,
        markersize=4,
        label=label,
    )


def crossed_intervals(
    ax: Axes, x: Sequence[Interval], y: Sequence[Interval], color: str, label: str, marker: str = "o"
) -> None:
    """Estimates of two quantities joined by a line, with the intervals of both as thin bars."""
    ax.errorbar(
        [e.value for e in x],
        [e.value for e in y],
        yerr=_bars(y),
        xerr=_bars(x),
        fmt=f"{marker}-",
        color=color,
        linewidth=1,
        elinewidth=0.4,
        markersize=5,
        label=label,
    )


def interval_lines(
    ax: Axes, x: Sequence[float], series: Mapping[str, Sequence[Interval]], colors: Mapping[str, Any]
) -> None:
    """An `interval_line` for each label of `series`, in its color."""
    for label, estimates in series.items():
        interval_line(ax, x, estimates, colors[label], label)


def level(axes: Axes | Iterable[Axes], y: float = 0.0) -> None:
    """A thin grey line at height y across one or several axes."""
    for ax in [axes] if isinstance(axes, mpl.axes.Axes) else axes:
        ax.axhline(y, color=NEUTRAL, linewidth=0.6)


def time_axis(ax: Axes, times: Sequence[float]) -> None:
    """Time indices along x, so that sampling runs from left, the largest time, to right."""
    first, last = max(times), min(times)
    margin = 0.02 * (first - last)
    ax.set(xlabel="time $t$", xlim=(first + margin, last - margin))


def log_axis(ax: Axes, values: Sequence[float]) -> None:
    """A logarithmic x axis with ticks at `values` and nowhere else, written out."""
    ax.set_xscale("log")
    ax.set_xticks(values, [f"{value:,g}" for value in values])
    ax.minorticks_off()


def spectra(ax: Axes, eigenvalues: np.ndarray, color: Any, label: str, largest: int | None = None) -> None:
    """Sorted spectra `(samples, d)`, ascending: every sample as a thin line, their mean as a thick one.

    Args:
        ax: where to draw.
        eigenvalues: the eigenvalues of all samples.
        color: the colour of the lines.
        label: the label of the mean.
        largest: how many eigenvalues to draw, from the upper end; None draws all.
    """
    index = np.arange(1, eigenvalues.shape[1] + 1)
    shown = slice(-largest if largest else None, None)
    ax.plot(index[shown], eigenvalues.T[shown], color=color, linewidth=0.5, alpha=0.5)
    ax.plot(index[shown], eigenvalues.mean(0)[shown], color=color, label=label)
    ax.set(xlabel="index of the eigenvalue")


def spectra_panels(
    panels: Mapping[str, Mapping[str, np.ndarray]],
    colors: Mapping[str, Any],
    ylabel: str = r"$\lambda\,\sigma_t^2$",
) -> Figure:
    """Panels of `spectra` side by side, with a line at 0 where eigenvalues reach it.

    Args:
        panels: title of a panel -> label -> eigenvalues `(samples, d)`.
        colors: by label.
        ylabel: the label of the vertical axis of the first panel.
    """
    figure, axes = plt.subplots(
        1, len(panels), figsize=(4.5 * len(panels), 3.4), squeeze=False, layout="constrained"
    )
    for ax, (title, groups) in zip(axes[0], panels.items(), strict=True):
        for label, eigenvalues in groups.items():
            spectra(ax, eigenvalues, colors[label], label)
        if max(eigenvalues.max() for eigenvalues in groups.values()) >= 0:
            level(ax)
        ax.set_title(title)
    axes[0, 0].set_ylabel(ylabel)
    axes[0, 0].legend(loc="upper left")
    return figure


def image_grid(rows: Mapping[str, np.ndarray], columns: int = 8) -> Figure:
    """Rows of images `(N, 1, H, W)` grey or `(N, 3, H, W)` in [-1, 1], the first `columns` of each."""
    figure, ax = plt.subplots(figsize=(0.95 * columns + 1.2, 0.95 * len(rows) + 0.1), layout="constrained")
    # All images on one axes: one axes for each takes ten times as long to draw.
    for row, images in enumerate(rows.values()):
        for column, image in enumerate(images[:columns]):
            pixels = np.clip((image + 1) / 2, 0, 1)
            ax.imshow(
                pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0),
                cmap="gray",
                vmin=0,
                vmax=1,
                extent=(column, column + 0.93, row + 0.93, row),
            )
    ax.set(xlim=(0, columns - 0.07), ylim=(len(rows) - 0.07, 0), xticks=[])
    ax.set_yticks(np.arange(len(rows)) + 0.46, list(rows), fontsize=9)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return figure


def _bars(estimates: Sequence[Interval]) -> np.ndarray:
    """Lengths `(2, n)` of the bars below and above the estimates."""
    return np.array([[e.value - e.low for e in estimates], [e.high - e.value for e in estimates]])
