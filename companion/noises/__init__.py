"""Does the noise know? Under a caption that gives a copy at times, what predicts which noises end in it."""

from companion.noises.areas import caption_areas, pooled
from companion.noises.densities import Densities, densities, exact_captions, told_exactly
from companion.noises.exact import ExactCaption, exact_caption, in_half_space
from companion.noises.figures import areas_figure
from companion.noises.measured import measured
from companion.noises.statistics import SIGNS, of_difference, statistics

__all__ = [
    "SIGNS",
    "Densities",
    "ExactCaption",
    "areas_figure",
    "caption_areas",
    "densities",
    "exact_caption",
    "exact_captions",
    "in_half_space",
    "measured",
    "of_difference",
    "pooled",
    "statistics",
    "told_exactly",
]
