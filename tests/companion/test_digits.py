"""A number is written with the digits that its interval supports."""

import pytest

from companion import digits


@pytest.mark.parametrize(
    ("value", "low", "high", "spec", "expected"),
    [
        (0.9999, 0.9961, 1.004, ".4f", "1.000 (0.996 to 1.004)"),
        (32.3333, 28.1, 36.6, ".4f", "32 (28 to 37)"),
        (0.92, 0.65, 0.99, ".2f", "0.92 (0.65 to 0.99)"),
        (0.55, 0.10, 0.95, ".2f", "0.6 (0.1 to 0.9)"),  # 0.95 is stored a little below
        (44.25, 40.7958, 47.7042, ".0f", "44 (41 to 48)"),
        (1234.5, 1000.0, 1500.0, ",.1f", "1,234 (1,000 to 1,500)"),
        (0.9167, 0.6461, 0.9851, ".2%", "92% (65% to 99%)"),
        (-0.0001, -0.0170, 0.0167, ".4f", "0.000 (-0.017 to 0.017)"),
        (0.1, -0.2, 0.4, "+.2f", "+0.10 (-0.20 to +0.40)"),
        (0.123456, 0.12, 0.13, ".3g", "0.123 (0.12 to 0.13)"),
        (995.0, 0.0, 1999.8, ".1f", "995 (0 to 2000)"),  # half the width is 1,000 in three digits
    ],
)
def test_no_digit_is_finer_than_the_interval(value, low, high, spec, expected):
    assert digits.interval(value, low, high, spec) == expected


def test_bounds_that_would_be_written_alike_get_more_digits():
    assert digits.interval(0.9975, 0.9962, 0.9990, ".2f") == "0.998 (0.996 to 0.999)"
    assert digits.interval(-0.00210, -0.00211, -0.00209, ".4f") == "-0.00210 (-0.00211 to -0.00209)"


def test_an_interval_without_width_is_not_written():
    assert digits.interval(0.0, 0.0, 0.0, ".2f") == "0.00"
    assert digits.interval(0.0, 0.0, 0.0, ".0f", "n = 8") == "0 (n = 8)"


def test_what_else_is_said_stands_behind_the_bounds():
    assert digits.interval(0.5, 0.25, 0.75, ".2f", "n = 4") == "0.50 (0.25 to 0.75; n = 4)"
