"""Networks that saw images in growing numbers of copies: what is measured of them, and figures of it."""

from companion.doses import figures
from companion.doses.statistics import (
    at_images,
    judged_samples,
    length_spreads,
    on_paths,
    rates,
    responses,
    smallest_sure,
    spectra_at_images,
)

__all__ = [
    "at_images",
    "figures",
    "judged_samples",
    "length_spreads",
    "on_paths",
    "rates",
    "responses",
    "smallest_sure",
    "spectra_at_images",
]
