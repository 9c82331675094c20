"""The curve of a training under watch, one picture, written whole."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from memlib.files import whole
from memlib.monitor.points import Points

TITLES = ("error (logarithm)", "sharpness, $-\\sigma^2\\,\\mathrm{tr}\\,H / d$")


def draw(path: Path, found: Mapping[int, Tensor], points: Points, warned: int | None) -> None:
    """Means of training and other points against the step, a panel for each statistic and time.

    Without matplotlib nothing is drawn; the table has the numbers.

    Args:
        path: of the picture; its suffix names the format.
        found: step -> `(times, n, 2)` as `Points.measure` returns.
        points: what was measured.
        warned: step of the warning, marked by a line.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return
    figure = Figure(figsize=(3.4 * len(points.times), 5.2), layout="constrained")
    axes = figure.subplots(2, len(points.times), squeeze=False, sharex=True)
    parts = [points.training, len(points.images) - points.training]
    other = "mirror images" if points.paired else "held-out images"
    for row, (title, sign) in enumerate(zip(TITLES, (-1, 1), strict=True)):
        for k, t in enumerate(points.times):
            ax = axes[row, k]
            means = [[sign * of.mean().item() for of in f[k, :, row].split(parts)] for f in found.values()]
            ax.plot(list(found), means, label=["training images", other])
            if warned is not None:
                ax.axvline(warned, color="0.4", linestyle="--", label="warning")
            ax.set(title=f"t = {t:g}", xlabel="step" if row else "", ylabel="" if k else title)
    axes[0, 0].legend()
    with whole(path) as temporary:
        figure.savefig(temporary)
