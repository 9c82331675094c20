"""Spectra, counts and maps under captions, and what the chapter on them compares."""

from companion.under_captions import figures, maps, report, stated
from companion.under_captions.caption_spectra import CaptionSpectra, caption_spectra, conditional_curvature
from companion.under_captions.curvature import Curvature, columns
from companion.under_captions.kinds import KINDS, LABELS, Chosen, choose

__all__ = [
    "KINDS",
    "LABELS",
    "CaptionSpectra",
    "Chosen",
    "Curvature",
    "caption_spectra",
    "choose",
    "columns",
    "conditional_curvature",
    "figures",
    "maps",
    "report",
    "stated",
]
