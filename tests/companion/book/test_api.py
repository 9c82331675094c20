"""Docstrings become reStructuredText that says what they say."""

import pytest

from companion.book.api import restructured

docutils = pytest.importorskip("docutils.core")


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("Of 2**3 and `2**3`.", r"Of 2\*\*3 and `2**3`."),
        ("The norm |x| of x_ and x_t.", r"The norm \|x\| of x\_ and x_t."),
        ("```a*b``` and *c*", r"```a*b``` and \*c\*"),
    ],
)
def test_what_is_no_markup_is_escaped(text, made):
    assert restructured([text]) == [made]


def test_tables_and_formulas_stand_as_they_are():
    lines = ["With p:", "", "    s(x) = p * q", "", "| a | b* |", "|---|---|"]
    assert restructured(lines, module=True) == [
        "With p:", "", ".. code-block:: text", "", "        s(x) = p * q", "",
        ".. code-block:: text", "", "    | a | b* |", "    |---|---|",
    ]  # fmt: skip
    assert restructured(lines[:3])[-1] == r"    s(x) = p \* q"  # of an argument


def test_examples_are_left_alone():
    lines = ["Sums.", "", "Example:", "    >>> 2**3", "    8", "", "Then *this*."]
    assert restructured([">>> f(x)  # doctest: +SKIP"]) == [">>> f(x)"]
    assert restructured(lines) == [*lines[:3], "", *lines[3:6], r"Then \*this\*."]
