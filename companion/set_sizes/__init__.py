"""Networks on training sets of several sizes: what is measured of them and their samples, and its figures."""

from companion.set_sizes import figures
from companion.set_sizes.statistics import (
    areas,
    beside_whole_spectra,
    beyond_complexity,
    calibrated,
    complexities,
    copy_shares,
    correlations,
    denoising,
    quality,
)

__all__ = [
    "areas",
    "beside_whole_spectra",
    "beyond_complexity",
    "calibrated",
    "complexities",
    "copy_shares",
    "correlations",
    "denoising",
    "figures",
    "quality",
]
