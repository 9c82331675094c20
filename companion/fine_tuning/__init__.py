"""Audits of fine-tunes of a model organism: what they have memorized, and how well the list finds it."""

from companion.fine_tuning import figures
from companion.fine_tuning.quality import ListQuality, list_quality
from companion.fine_tuning.statistics import Measured, differences, measure
from companion.fine_tuning.unseen import unseen, unseen_images, write_images, write_set
from companion.fine_tuning.walk import (
    audited,
    beside_training_images,
    by_group,
    listed,
    loaded,
    of_report,
    reproduced,
)

__all__ = [
    "ListQuality",
    "Measured",
    "audited",
    "beside_training_images",
    "by_group",
    "differences",
    "figures",
    "list_quality",
    "listed",
    "loaded",
    "measure",
    "of_report",
    "reproduced",
    "unseen",
    "unseen_images",
    "write_images",
    "write_set",
]
