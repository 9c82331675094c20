"""Does the noise know? Under a caption that gives a copy at times, what predicts which noises end in it."""

from companion.noises.areas import caption_areas, paired, pooled
from companion.noises.exact import ExactCaption, exact_caption, in_half_space
from companion.noises.measured import measured
from companion.noises.statistics import SIGNS, of_difference, statistics

__all__ = [
    "SIGNS",
    "ExactCaption",
    "caption_areas",
    "exact_caption",
    "in_half_space",
    "measured",
    "of_difference",
    "paired",
    "pooled",
    "statistics",
]
