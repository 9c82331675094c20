"""How many digits of a number are written: no more than its interval supports.

>>> interval(0.9999, 0.9961, 1.004, ".4f")
'1.000 (0.996 to 1.004)'
"""

from __future__ import annotations

import math
import re

_FIXED = re.compile(r"(\+?)(,?)\.(\d+)([f%])")


def interval(value: float, low: float, high: float, spec: str, also: str = "") -> str:
    """An estimate and its bounds, or the estimate alone where the bounds leave no room.

    Args:
        value: the estimate.
        low: lower end of its interval.
        high: upper end.
        spec: how each is written. Decimals of `f` and `%` are cut to those that the interval supports, and
            extended as far where the bounds would be written alike.
        also: what else stands in the parentheses, such as "n = 8".
    """
    if low < high:
        spec = supported(low, high, spec)
        also = "; ".join(part for part in (f"{low:{spec}} to {high:{spec}}", also) if part)
    return f"{value:{spec}} ({also})" if also else f"{value:{spec}}"


def supported(low: float, high: float, spec: str) -> str:
    """The format `spec` with as many decimals as an interval of some width supports, see `interval`.

    Example:
        >>> supported(0.9961, 1.004, ".15f")
        'z.3f'
    """
    found = _FIXED.fullmatch(spec)
    if found is None:
        return spec
    sign, comma, asked, kind = found.groups()
    most = _decimals((high - low) / 2 * (100 if kind == "%" else 1))
    places = min(int(asked), most)
    written = [f"{sign}z{comma}.{number}{kind}" for number in range(places, most + 1)]  # z: no minus zero
    return next((some for some in written if f"{low:{some}}" != f"{high:{some}}"), written[-1])


def _decimals(half_width: float) -> int:
    """Decimals of a number known to `half_width`, by the rule of the Particle Data Group.

    Of the error two digits are kept if its three leading ones are 354 or less, else one.
    Source: Navas et al., Review of Particle Physics, Phys. Rev. D 110, 030001 (2024), section 5.3.
    """
    exponent = math.floor(math.log10(half_width))
    leading = round(half_width / 10.0 ** (exponent - 2))
    return max(0, (1 if leading <= 354 else 0) - exponent)
