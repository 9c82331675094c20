"""Ranges and choices in the comments of parameters."""

import pytest

from companion.experiment import limits, notebooks, parameters


def fault(comment, value, **others):
    found, _ = limits.parse(comment)
    return found.fault(value, {"x": value, **others})


@pytest.mark.parametrize(
    ("comment", "allowed", "refused"),
    [
        ("[1, 10] samples", [1, 10], [0, 11, -5]),
        ("(0, 1) coverage", [0.5], [0.0, 1.0]),
        ("[0, 1) share", [0.0, 0.99], [1.0]),
        ("(0, 1] share", [1.0], [0.0]),
        ("[0, inf) scale", [0, 1e300], [-1e-9]),
        ("[0, 2**32) seed", [2**32 - 1], [2**32]),
        ("{float32, float16} of networks", ["float16"], ["float64", "float", ""]),
        ("{auto, cpu, cuda*} device", ["cuda", "cuda:1"], ["abacus", "gpu"]),
        ("{1, 10} doses", [1, 10, [10, 1]], [5, [1, 5], []]),
        ("[1, 4] sizes", [[1, 4]], [[], [0], [1, 5]]),
        ("0+ of [1, 4] sizes", [[], [4]], [[5]]),
        ("2+ ascending of [1, 4] sizes", [[1, 4]], [[4], [4, 1], [2, 2]]),
        ("ascending of {1, 10} doses", [[1, 10], [10]], [[10, 1], [], [5]]),
    ],
)
def test_what_a_comment_allows(comment, allowed, refused):
    assert [fault(comment, value) for value in allowed] == [None] * len(allowed)
    assert all(fault(comment, value) for value in refused)


def test_bounds_may_name_other_parameters():
    comment = "[-steps, steps) steps looked at"
    assert fault(comment, [0, 2, -3], steps=3) is None
    assert fault(comment, [0, 490, -1], steps=3) == "must be in [-steps, steps) = [-3, 3), got 490"
    assert fault("[1, pool // 2 + 1]", 4, pool=4) == "must be in [1, pool // 2 + 1] = [1, 3], got 4"
    assert fault(comment, [490]) is None  # steps has a fault of its own


def test_the_rest_is_what_it_means():
    assert limits.parse("[1, 10] samples [per class]")[1] == "samples [per class]"
    assert limits.parse("[0, inf) alpha sqrt(d) in levels")[1] == "alpha sqrt(d) in levels"
    assert limits.parse("samples of 3 (or 4) [at most]") == (None, "samples of 3 (or 4) [at most]")
    assert limits.parse("") == (None, "")


@pytest.mark.parametrize(
    "comment",
    [
        "[1, 10 samples",
        "[1; 10] samples",
        "(see below)",
        "{} none",
        "2+ samples",
        "[a.b, 1] x",
        "[f(1), 2] x",
        "[1, '2'] x",
    ],
)
def test_what_begins_like_a_range_must_be_one(comment):
    with pytest.raises(ValueError, match="range"):
        limits.parse(comment)


def test_a_bound_names_a_number_that_is_declared():
    for cell in ("x: int = 1  # [0, y] x", "y: str = 'a'\nx: int = 1  # [0, y] x"):
        with pytest.raises(ValueError, match="refers to y; expected parameters that are one number"):
            parameters.parse(cell)


def test_a_default_lies_in_its_own_range():
    with pytest.raises(ValueError, match=r"x must be in \[1, 3\], got 0"):
        parameters.parse("x: int = 0  # [1, 3] x")


def test_all_faults_of_names_types_and_ranges_are_named_at_once():
    cell = (
        "starts: int = 5  # [1, 100] starts\nlevel: float = 0.9  # (0, 1) level\nsteps: int = 3  # [1, 9] n\n"
    )
    with pytest.raises(ValueError, match="unknown parameter 'stats'") as caught:
        parameters.check(parameters.parse(cell), {"starts": -5, "level": 1.0, "steps": "a", "stats": 1})
    message = str(caught.value)
    assert "starts must be in [1, 100], got -5" in message
    assert "level must be in (0, 1), got 1.0" in message
    assert "steps must be int, got 'a'" in message
    assert "  starts: int = 5  # [1, 100]\n" in message


@pytest.mark.parametrize("path", notebooks.all_notebooks(), ids=lambda path: path.stem)
def test_every_number_of_every_chapter_has_a_range(path):
    without = [item.name for item in parameters.read(path) if item.limits is None]
    declared = {item.name: item.type for item in parameters.read(path)}
    assert [name for name in without if declared[name] not in {"bool", "str"}] == []
    assert {"device", "precision"}.isdisjoint(without)
