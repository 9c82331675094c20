"""What becomes of copied noises, on tables with known answers."""

import numpy as np
import pandas as pd
import pytest

from companion.comparison import escape_lead, escape_rows, escapes, undecided
from companion.comparison.escapes import copied_noises


def table(method, copies, **columns):
    """Rows of a method from a list of copies for each caption."""
    rows = [(c, s, bool(v)) for c, some in enumerate(copies) for s, v in enumerate(some)]
    made = pd.DataFrame(rows, columns=["caption", "seed", "copy"]).assign(method=method, setting="")
    made["agree"] = True
    made["success"] = ~made["copy"]
    return made.assign(diversity=0.5, passes=0.0, backward=0.0).assign(**columns)


@pytest.fixture
def images():
    """Four captions of four noises: never, at times (two of them), always copied."""
    none = [[0, 0, 0, 0], [1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 1]]
    sail = [[1, 1, 1, 1], [0, 1, 1, 1], [0, 1, 1, 1], [0, 0, 0, 0]]
    redrawn = [[0, 0, 0, 0], [1, 0, 1, 1], [1, 0, 0, 0], [1, 1, 1, 1]]
    return pd.concat(
        [table("none", none), table("sail", sail, passes=12.0), table("redrawn", redrawn)], ignore_index=True
    )


def test_captions_that_copy_always_or_never_are_left_out(images):
    none = images[images["method"] == "none"]
    assert undecided(none) == [1, 2]
    assert undecided(none, (0.25, 0.9)) == [1]  # 0.25 itself is not between
    assert copied_noises(images, "sail", "")["caption"].unique().tolist() == [1, 2]


def test_undecided_captions_have_noises_of_both_kinds():
    copies = [[0, 0, 0, 0], [1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 1], [1, 1, 1, 0]]
    each = pd.DataFrame([{"caption": c, "copy": bool(v)} for c, some in enumerate(copies) for v in some])
    assert undecided(each, copied=1) == [1, 2, 4]
    assert undecided(each, copied=2, needed=2) == [1, 4]
    with pytest.raises(
        ValueError, match=r"1 of 5 captions have 3 copied noises or more and a copy rate between"
    ):
        undecided(each, copied=3, needed=2)


def test_only_noises_that_gave_a_copy_count(images):
    found = copied_noises(images, "sail", "")
    assert found[["caption", "seed"]].to_numpy().tolist() == [[1, 0], [1, 1], [2, 0]]


def test_every_caption_weighs_the_same(images):
    assert escapes(images, "none", "").value == 0
    assert escapes(images, "sail", "").value == (0.5 + 1) / 2
    assert escapes(images, "redrawn", "").value == (0.5 + 0) / 2
    assert escapes(images, "sail", "").n == 2


def test_the_lead_is_paired_by_caption(images):
    assert escape_lead(images, ("sail", ""), ("redrawn", "")).value == (0 + 1) / 2
    images.loc[images["method"] == "sail", "success"] = False
    assert escape_lead(images, ("sail", ""), ("redrawn", ""), what="success").value == (-0.5 + 0) / 2


def test_a_row_for_each_method_counts_captions_and_noises(images):
    rows = {row["method"]: row for row in escape_rows(images)}
    assert list(rows) == ["none", "sail", "redrawn"]
    assert all((row["captions"], row["noises"]) == (2, 3) for row in rows.values())
    assert rows["redrawn"]["lead"] is None
    assert rows["sail"]["lead"].value == 0.5
    assert rows["sail"]["success"].value == 0.75
    assert rows["sail"]["passes"] == 12.0


def test_nothing_copied_and_a_single_caption_are_refused(images):
    with pytest.raises(ValueError, match=r"none of the captions \[0\] has a noise that gives a copy"):
        escapes(images, "sail", "", [0])
    with pytest.raises(ValueError, match=r"one caption has no interval over captions \(its share is 0.50\)"):
        escapes(images, "sail", "", [1])


def test_the_interval_covers_the_share_that_captions_differ_in():
    """A method that saves 3 of 4 noises of some captions and 1 of 4 of others; 12 captions, 8 noises."""
    generator, inside, runs = np.random.default_rng(0), 0, 200
    for _ in range(runs):
        saved = generator.choice([0.25, 0.75], size=12)[:, None]
        none = generator.uniform(size=(12, 8)) < 0.5
        sail = generator.uniform(size=(12, 8)) >= saved
        both = pd.concat([table("none", none), table("sail", sail)], ignore_index=True)
        found = escapes(both, "sail", "")
        inside += found.low <= 0.5 <= found.high
    assert inside >= 0.9 * runs
    assert inside < runs


def test_redrawing_a_noise_escapes_with_one_minus_the_rate():
    generator = np.random.default_rng(1)
    rates = np.full(60, 0.7)[:, None]
    none, redrawn = (generator.uniform(size=(60, 20)) < rates for _ in range(2))
    both = pd.concat([table("none", none), table("redrawn", redrawn)], ignore_index=True)
    found = escapes(both, "redrawn", "")
    assert found.low < 0.3 < found.high
    assert found.high - found.low < 0.1


def test_captions_may_be_given_where_their_rate_is_known_from_elsewhere(images):
    (row, *_) = (row for row in escape_rows(images, captions=[1, 3]) if row["method"] == "redrawn")
    assert (row["captions"], row["noises"]) == (2, 6)
    assert row["escapes"].value == (0.5 + 0) / 2
