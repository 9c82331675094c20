"""Whole spectra of a few samples at times along their paths, and what the samples look like there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from numpy.typing import NDArray
from torch import Tensor

from companion import plots
from companion.images import eight_bits
from memlib import hessian, sharpness
from memlib.score import Score

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = {"memorized": plots.MEMORIZED, "general": plots.GENERAL}
"""The two classes that are shown together, and their colours."""

_STYLES = {"memorized": "-", "general": "--"}
_ACROSS = 4  # panels side by side


def follow(
    scores: Mapping[str, Mapping[float, Score]],
    states: Mapping[str, Mapping[float, Tensor]],
    known: Mapping[str, Mapping[float, Tensor]],
    *,
    decode: Callable[[Tensor], Tensor] | None = None,
) -> dict[str, NDArray[Any]]:
    """Spectra, counts and pictures over time, from which the figure is drawn.

    Whole spectra take d products for every sample and time, save where they are `known`.

    Args:
        scores: class -> time -> the score there, under the class; both classes at the same times.
        states: class -> time -> the n points of the samples followed, `(n, *sample_shape)`.
        known: class -> time -> eigenvalues that were computed before, `(n or more, d)`.
        decode: what makes images in [0, 1] of points; by default points are images in [-1, 1].

    Returns:
        "t" and "sigma", `(T,)`, noisiest first; and of each class NAME "NAME_eigenvalues", `(T, n, d)`
        ascending and times sigma^2; "NAME_count", `(T, n)`, of those that are not negative; "NAME_noised" and
        "NAME_denoised", `(T, n, C, H, W)`, images of the state and of the mean of x_0 given it, of 8 bits.
    """
    times = sorted(next(iter(scores.values())), reverse=True)
    found: dict[str, list[Any]] = {"t": times, "sigma": []}
    picture = eight_bits if decode is None else lambda x: eight_bits(2 * decode(x) - 1)
    for name, of_class in scores.items():
        columns: dict[str, list[Any]] = {"eigenvalues": [], "count": [], "noised": [], "denoised": []}
        for t in times:
            score, x = of_class[t], states[name][t]
            values = known[name][t] if t in known[name] else hessian.spectra(score, x).eigenvalues
            values = values[: len(x)].cpu()
            with torch.no_grad():
                denoised = score.denoised(x)
            columns["eigenvalues"].append(sharpness.scaled(values, score.sigma).numpy())
            columns["count"].append(sharpness.nonnegative_count(values).numpy())
            columns["noised"].append(picture(x))
            columns["denoised"].append(picture(denoised))
        found |= {f"{name}_{column}": rows for column, rows in columns.items()}
        found["sigma"] = [of_class[t].sigma for t in times]
    return {key: np.asarray(rows) for key, rows in found.items()}


def panels(found: Mapping[str, NDArray[Any]]) -> Figure:
    """One panel for each time of `follow`: both spectra, and what the network takes the first samples for."""
    count, dim = len(found["t"]), found["general_eigenvalues"].shape[2]
    figure, axes = plt.subplots(
        -(-count // _ACROSS),
        min(count, _ACROSS),
        figsize=(2.3 * min(count, _ACROSS), 2.5 * -(-count // _ACROSS)),
        squeeze=False,
        sharex=True,
        sharey=True,
        layout="constrained",
    )
    for ax in axes.flat[count:]:
        ax.set_visible(False)
    for k, ax in enumerate(axes.flat[:count]):
        counts = ", ".join(f"{found[f'{name}_count'][k].mean():g} {name}" for name in COLORS)
        title = rf"$t={found['t'][k]:g}$, $\sigma={found['sigma'][k]:.2f}$"
        ax.set_title(f"{title}\n$\\geq 0$: {counts}", fontsize=8)
        plots.level(ax)
        for place, (name, color) in enumerate(COLORS.items()):
            spectra = found[f"{name}_eigenvalues"][k]
            ax.plot(np.arange(1, dim + 1), spectra.T, _STYLES[name], color=color, linewidth=1.2)
            ax.lines[-1].set_label(name)
            _inset(ax, found[f"{name}_denoised"][k, 0], (0.16 + 0.27 * place, 0.82), color)
    for ax in axes[:, 0]:
        ax.set_ylabel(r"$\lambda\,\sigma_t^2$")
    axes[0, 0].legend(loc="center right", fontsize=8)
    figure.supxlabel("index of the eigenvalue", fontsize=8)
    return figure


def _inset(ax: Axes, image: NDArray[Any], at: tuple[float, float], color: str) -> None:
    """An image `(C, H, W)` in a frame, 0.4 inches wide."""
    pixels = np.broadcast_to(image, (3, *image.shape[1:])).transpose(1, 2, 0)
    box = OffsetImage(pixels, zoom=30 / pixels.shape[0], interpolation="nearest")
    frame = {"edgecolor": color, "linewidth": 1.2}
    ax.add_artist(AnnotationBbox(box, at, xycoords="axes fraction", pad=0.1, bboxprops=frame))
