"""From scores to a list: who is compared with whom."""

import numpy as np
import pyarrow as pa
import pytest

from memlib.audit.ranking import ranked


def table(screened, harmless):
    """Families of captions that are screened and of harmless ones."""
    families = [*screened, *harmless]
    return pa.table(
        {
            "prompt": [str(k) for k in range(len(families))],
            "family": pa.array(families, pa.string()),
            "reference": [False] * len(screened) + [True] * len(harmless),
        }
    )


SCREENED, HARMLESS = ["plain", "stated"], ["plain"] * 3 + ["stated"] * 9
MEANS = {"excess": np.array([4.0, 4.0, *[1.0, 2.0, 3.0], *range(9)])}


def test_captions_are_compared_with_their_own_family():
    found = ranked(MEANS, table(SCREENED, HARMLESS), 0.5)
    np.testing.assert_allclose(found.p, [1 / 4, 6 / 10])
    assert found.calibration == 3
    assert found.order.tolist() == [0, 1]


def test_pooled_they_are_compared_with_all():
    found = ranked(MEANS, table(SCREENED, HARMLESS), 0.5, pooled=True)
    np.testing.assert_allclose(found.p, [6 / 13, 6 / 13])
    assert found.calibration == 12


def test_pooling_lists_what_families_are_too_small_to_list():
    """Two memorized of eight: at 10 % that takes p <= 1/40, which 30 harmless captions never give."""
    scores = {"excess": np.array([9.0, 9.0, *[0.0] * 6, *[1.0] * 60])}
    of = table(["plain", "stated"] * 4, ["plain", "stated"] * 30)
    assert ranked(scores, of, 0.1).listed.sum() == 0
    assert np.flatnonzero(ranked(scores, of, 0.1, pooled=True).listed).tolist() == [0, 1]


def test_a_family_that_is_not_screened_does_not_count():
    assert ranked(MEANS | {"excess": MEANS["excess"][1:]}, table(["stated"], HARMLESS), 0.5).calibration == 9


def test_a_family_without_harmless_captions_is_refused_unless_they_are_pooled():
    of = table(["odd", "stated"], HARMLESS)
    with pytest.raises(ValueError, match="no calibration caption of the kind 'odd'"):
        ranked(MEANS, of, 0.5)
    assert ranked(MEANS, of, 0.5, pooled=True).calibration == 12


def test_without_harmless_captions_there_is_an_order_and_no_list():
    found = ranked({"difference": np.array([1.0, 3.0, 2.0])}, table(["a", "b", "c"], []), 0.1)
    assert (found.statistic, found.p, found.calibration) == ("difference", None, 0)
    assert found.order.tolist() == [1, 2, 0]
    assert not found.listed.any()
