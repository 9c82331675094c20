"""Data and pictures of figures that readers handle, made from the tables of runs as the book is put together.

Data are scripts that fill `figures.data`, since browsers read no JSON from the file system.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

from companion import plots
from companion.handled.detection import STATISTICS, roc_curves, threshold
from companion.handled.spectra import spectra_over_time
from memlib.files import whole, write_text

FOLDER = Path("assets/figures/data")

OVER_TIME = {"04_mnist": "fig-mnist-over-time", "07_latent_spectra": "fig-latent-over-time"}
"""Chapter -> name of its figure of spectra over time, and of the data of that figure."""

THRESHOLD = "08_latent_detection"
"""The chapter of the threshold."""

__all__ = [
    "FOLDER",
    "OVER_TIME",
    "STATISTICS",
    "THRESHOLD",
    "roc_curves",
    "spectra_over_time",
    "threshold",
    "write",
]


def write(runs: Mapping[str, Path], stage: Path) -> None:
    """Write data and pictures of such figures into `stage`.

    Args:
        runs: chapter -> folder of its run; figures of chapters that are not there are left out.
        stage: the source folder of the book.
    """
    folder = stage / FOLDER
    for chapter in OVER_TIME.keys() & runs.keys():
        _write_data(folder, OVER_TIME[chapter], spectra_over_time(runs[chapter]))
    if THRESHOLD in runs:
        data = threshold(runs[THRESHOLD])
        _write_data(folder, "threshold", data)
        plots.use_style()
        picture = roc_curves(data)
        with whole(folder / "threshold.png") as temporary:
            picture.savefig(temporary, format="png", dpi=150)
        plt.close(picture)


def _write_data(folder: Path, name: str, data: Mapping[str, Any]) -> None:
    text = json.dumps(data, separators=(",", ":"))
    write_text(folder / f"{name}.js", f"figures.data[{json.dumps(name)}] = {text};\n")
