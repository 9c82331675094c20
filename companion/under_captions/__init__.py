"""What the chapter on spectra under captions compares: kinds of captions, and its figures."""

from companion.under_captions import figures, report
from companion.under_captions.kinds import KINDS, LABELS, Chosen, choose

__all__ = ["KINDS", "LABELS", "Chosen", "choose", "figures", "report"]
