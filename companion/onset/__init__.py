"""When memorization sets in: what is measured along a training, and when each of it leaves its level."""

from companion.onset import figures
from companion.onset.captions import of_captions
from companion.onset.records import read, record
from companion.onset.statistics import SETTINGS, Settings, measure
from companion.onset.times import (
    Onset,
    detectable,
    differences,
    first_copy,
    leads,
    onset,
    scaling,
    set_in,
    warned,
)

__all__ = [
    "SETTINGS",
    "Onset",
    "Settings",
    "detectable",
    "differences",
    "figures",
    "first_copy",
    "leads",
    "measure",
    "of_captions",
    "onset",
    "read",
    "record",
    "scaling",
    "set_in",
    "warned",
]
