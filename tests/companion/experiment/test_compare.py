"""Two build folders are compared number by number."""

import math

import pytest

from companion.experiment import compare, recorder
from companion.experiment.runs import Place


def record(build, run_name="quick", **numbers):
    place = Place(build, "01_toy", run_name)
    space = {"seed": 1, "output": str(place.final), "__annotations__": {"seed": int, "output": str}}
    run = recorder.start("01_toy", space)
    for key, value in numbers.items():
        interval = {"interval": (value - 1, value + 1), "level": 0.95} if key == "wide" else {}
        run.record(key, value, **interval)
    run.finish()


@pytest.fixture
def builds(tmp_path):
    """Before and after: one number the same, one moved by a bit, one by a half, one gone, one new."""
    before, after = tmp_path / "before", tmp_path / "after"
    record(before, same=0.1, bit=1.0, half=2.0, gone=3.0, wide=5.0)
    record(after, same=0.1, bit=1.0 + 2**-52, half=1.0, new=4.0, wide=5.0)
    return before, after


def test_every_difference_is_found_the_largest_first(builds):
    found = compare.differences(*map(compare.numbers, builds))
    assert [item.key for item in found] == ["gone", "new", "half", "bit"]
    assert [item.relative for item in found] == [math.inf, math.inf, 0.5, pytest.approx(2**-52, rel=1e-9)]


def test_bounds_of_intervals_are_numbers_too(builds, tmp_path):
    before, _ = builds
    assert compare.numbers(before)["01_toy", "quick"]["wide, low"] == 4.0
    one, two = compare.numbers(before), compare.numbers(before)
    two["01_toy", "quick"]["wide, high"] += 1e-9
    assert [item.key for item in compare.differences(one, two)] == ["wide, high"]


def test_a_run_that_is_gone_takes_its_numbers_along(builds):
    before, _ = builds
    record(before, "full", same=1.0)
    found = compare.differences(*map(compare.numbers, builds))
    assert ("full", "same", 1.0, None) in [(item.run, item.key, item.before, item.after) for item in found]


def test_a_folder_without_runs_is_refused(tmp_path):
    with pytest.raises(ValueError, match="expected a build folder"):
        compare.numbers(tmp_path)
