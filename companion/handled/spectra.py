"""Spectra over time: what `companion.over_time` followed in a run of chapter 04 or 07."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from companion.handled.pictures import address
from companion.over_time import COLORS

STATES = ("noised", "denoised")


def spectra_over_time(run: Path) -> dict[str, Any]:
    """Times with spectra (to three decimals), counts and pictures of both classes.

    `pictures` is one image, with a column for each time and a row for each class, sample and state.
    """
    with np.load(run / "tables" / "over_time.npz", allow_pickle=False) as file:
        found = dict(file)
    samples = range(found["general_count"].shape[1])
    rows = [found[f"{name}_{state}"][:, i] for name in COLORS for i in samples for state in STATES]
    return {
        "times": found["t"].tolist(),
        "sigmas": found["sigma"].round(4).tolist(),
        "classes": {
            name: {
                "counts": found[f"{name}_count"].tolist(),
                "eigenvalues": found[f"{name}_eigenvalues"].round(3).tolist(),
            }
            for name in COLORS
        },
        "pictures": address(np.concatenate([np.concatenate([*row], axis=2) for row in rows], axis=1)),
    }
