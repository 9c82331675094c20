import pandas as pd
import pytest

from companion.comparison import best_settings, lead, over_captions
from memlib import intervals


@pytest.fixture
def images():
    """Two methods, two captions with two images each."""
    rows = {
        ("a", "1"): ([0, 0, 1, 1], [0.5, 0.5, 0.5, 0.5]),
        ("a", "2"): ([1, 1, 1, 0], [0.25, 0.5, 0.75, 1.0]),
        ("b", "1"): ([1, 1, 1, 1], [0.0, 0.25, 0.5, 0.75]),
    }
    return pd.concat(
        [
            pd.DataFrame(
                {"method": m, "setting": s, "caption": [0, 0, 1, 1], "agree": agree, "pixel": pixel}
            ).astype({"agree": bool})
            for (m, s), (agree, pixel) in rows.items()
        ],
        ignore_index=True,
    )


def test_the_mean_is_over_captions_and_stays_in_range(images):
    found = over_captions(images, "a", "2", "pixel")
    expected = intervals.mean([0.375, 0.875])
    assert (found.value, found.n) == (pytest.approx(0.625), 2)
    assert (found.low, found.high) == (-1.0, 1.0)  # Student's interval of two captions is wider than that
    assert expected.low < -1
    assert expected.high > 1
    # Two captions that agree say that at most a share of others, by Wilson's interval, does not.
    agreed = intervals.proportion([1, 1])
    assert over_captions(images, "b", "1", "agree").bounds == pytest.approx(agreed.bounds)


def test_a_cosine_is_no_share(images):
    """Agreement by CLIP can be negative."""
    images["agree"] = images["pixel"] - 1
    assert over_captions(images, "b", "1", "agree").bounds == (-1.0, 1.0)
    assert over_captions(images, "b", "1", "agree").value == -0.625


def test_settings_nobody_ran_are_named(images):
    with pytest.raises(KeyError, match=r"no images of 'a' at '3'; there are .*\('b', '1'\)"):
        over_captions(images, "a", "3", "pixel")


def test_best_is_the_largest_mean_and_the_first_of_equals(images):
    assert best_settings(images, "agree") == {"a": "2", "b": "1"}
    assert best_settings(images, "caption") == {"a": "1", "b": "1"}


def test_a_lead_is_paired_by_caption(images):
    found = lead(images, ("b", "1"), ("a", "2"), "pixel")
    assert found.value == -0.25  # for both captions
    unseen = intervals.proportion([0, 0]).high
    assert found.bounds == pytest.approx((-0.25 - unseen * 1.75, -0.25 + unseen * 2.25))
