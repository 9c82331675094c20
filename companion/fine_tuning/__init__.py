"""Fine-tunes of a model organism on a few images, and audits of what they have memorized."""

from companion.fine_tuning import figures
from companion.fine_tuning.quality import ListQuality, list_quality
from companion.fine_tuning.statistics import Measured, differences, measure
from companion.fine_tuning.training import FineTune, fine_tune, loaded
from companion.fine_tuning.training_sets import (
    REPEATS,
    STATED,
    FineTuneSet,
    fine_tune_set,
    unseen,
    unseen_images,
    write_images,
)
from companion.fine_tuning.walk import audited, beside_training_images, by_group, of_report, reproduced

__all__ = [
    "REPEATS",
    "STATED",
    "FineTune",
    "FineTuneSet",
    "ListQuality",
    "Measured",
    "audited",
    "beside_training_images",
    "by_group",
    "differences",
    "figures",
    "fine_tune",
    "fine_tune_set",
    "list_quality",
    "loaded",
    "measure",
    "of_report",
    "reproduced",
    "unseen",
    "unseen_images",
    "write_images",
]
