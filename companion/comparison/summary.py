"""What a table of trials says of the methods: means with intervals, best settings, who beats whom."""

from __future__ import annotations

import math

import pandas as pd
from pandas.api.types import is_bool_dtype

from companion import effects
from memlib import intervals
from memlib.intervals import Interval

COSINES = ("agree", "pixel", "latent", "feature", "dino", "clip")
"""Columns that lie in [-1, 1], unless they hold what is true or false."""


def chosen(images: pd.DataFrame, method: str, setting: str) -> pd.DataFrame:
    """The rows of one setting of one method; KeyError if there are none."""
    rows = images[(images["method"] == method) & (images["setting"] == setting)]
    if rows.empty:
        known = sorted({*zip(images["method"], images["setting"], strict=True)})
        raise KeyError(f"no images of {method!r} at {setting!r}; there are {known}")
    return rows


def over_captions(images: pd.DataFrame, method: str, setting: str, what: str) -> Interval:
    """Mean over captions of the mean over seeds, with an interval over captions, kept in its range.

    The images of one caption resemble each other; the captions are the independent draws.
    """
    means = chosen(images, method, setting).groupby("caption")[what].mean()
    return _mean(means, _range(images[what]))


def best_settings(images: pd.DataFrame, by: str = "success") -> dict[str, str]:
    """For each method the setting of largest mean, the first of equals, chosen on the same images."""
    means = images.groupby(["method", "setting"], sort=False)[by].mean()
    return {str(name): str(some.idxmax()[1]) for name, some in means.groupby(level="method", sort=False)}


def lead(images: pd.DataFrame, first: tuple[str, str], second: tuple[str, str], what: str) -> Interval:
    """Mean of the first's quantity less the second's, caption by caption, with an interval over captions."""
    a, b = (chosen(images, *some).groupby("caption")[what].mean() for some in (first, second))
    low, high = _range(images[what])
    return _mean(a - b, (low - high, high - low))


def _range(column: pd.Series) -> tuple[float, float]:
    """Where a quantity can lie; an interval says no more, and has a width even where all captions agree."""
    if is_bool_dtype(column):
        return 0.0, 1.0
    return (-1.0, 1.0) if column.name in COSINES else (-math.inf, math.inf)


def _mean(draws: pd.Series, within: tuple[float, float]) -> Interval:
    """Student's interval, in the range of the quantity if it has one."""
    values = draws.to_numpy(dtype=float).clip(*within)  # rounding can leave a cosine above 1
    return intervals.mean(values) if math.isinf(within[1]) else effects.bounded_mean(values, *within)
