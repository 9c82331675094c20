"""What a parameter may be, as the comment behind it says: a range, or a choice.

::

    samples: int = 5  # [1, 1000] samples per class
    level: float = 0.95  # (0, 1) coverage of the intervals
    positions: list[int] = [0, -1]  # [-steps, steps) sampling steps that are looked at
    sizes: list[int] = [64, 512]  # 2+ ascending of [1, 4096] training images of each network
    precision: str = "float32"  # {float32, float16, bfloat16} of the networks

Brackets include a bound and parentheses leave it out. A bound is a number, `inf`, or arithmetic with other
parameters. Of a list each item is meant; it holds one item at least, or as many as `N+ of` says (`0+ of`: it
may be empty), and they ascend where that is said. In a choice of texts, `*` stands for anything, as in
{auto, cpu, cuda*}.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import pairwise
from typing import Any

_FORM = re.compile(
    r"(?:(?P<least>\d+)\+ )?(?P<ascending>ascending )?(?:of )?"
    r"(?:(?P<opens>[\[(])(?P<low>[^,()\[\]{}]+), *(?P<high>[^,()\[\]{}]+)(?P<closes>[\])])"
    r"|\{(?P<choices>[^{}]+)\})"
    r"(?: +|$)"
)
_BEGINS = re.compile(r"[\[({]|\d+\+ |ascending ")
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Pow: operator.pow,
}


@dataclass(frozen=True)
class Limits:
    """A range or a choice, and for lists how many items there are at least.

    Attributes:
        text: as written in the comment.
        bounds: lower and upper bound as expressions; None for a choice.
        closed: whether the bounds themselves are allowed.
        choices: the values allowed, as text; empty for a range.
        least: number of items of a list.
        ascending: whether each item of a list must be larger than the one before.
    """

    text: str
    bounds: tuple[str, str] | None = None
    closed: tuple[bool, bool] = (True, True)
    choices: tuple[str, ...] = ()
    least: int = 1
    ascending: bool = False

    @property
    def names(self) -> set[str]:
        """Other parameters that the bounds refer to."""
        nodes = (node for bound in self.bounds or () for node in ast.walk(_tree(bound)))
        return {node.id for node in nodes if isinstance(node, ast.Name)} - {"inf"}

    def fault(self, value: Any, others: Mapping[str, Any]) -> str | None:
        """What is wrong with a value, as the end of a sentence; None if nothing is.

        `others` are the values of all parameters. A bound that refers to one that is not among them, since it
        has a fault of its own, is not checked.
        """
        items = value if isinstance(value, list) else [value]
        if isinstance(value, list) and len(items) < self.least:
            return f"needs {self.least} item{'s' * (self.least > 1)} or more, got {value!r}"
        if self.ascending and any(first >= second for first, second in pairwise(items)):
            return f"must ascend, got {value!r}"
        wrong = [item for item in items if not self._allows(item, others)]
        if not wrong:
            return None
        return f"must be {self._meaning(others)}, got {', '.join(map(repr, wrong))}"

    def _allows(self, item: Any, others: Mapping[str, Any]) -> bool:
        if self.bounds is None:
            return any(fnmatchcase(str(item), choice) for choice in self.choices)
        if not self.names <= others.keys():
            return True
        low, high = (_number(_tree(bound), others) for bound in self.bounds)
        above = item >= low if self.closed[0] else item > low
        below = item <= high if self.closed[1] else item < high
        return bool(above and below)

    def _meaning(self, others: Mapping[str, Any]) -> str:
        if self.bounds is None:
            return f"one of {', '.join(self.choices)}"
        written = self._written(*self.bounds)
        if not self.names:
            return f"in {written}"
        low, high = (f"{_number(_tree(bound), others):g}" for bound in self.bounds)
        return f"in {written} = {self._written(low, high)}"

    def _written(self, low: str, high: str) -> str:
        return f"{'[' if self.closed[0] else '('}{low}, {high}{']' if self.closed[1] else ')'}"


def parse(comment: str) -> tuple[Limits | None, str]:
    """The limits at the start of a comment, and the rest of it.

    Raises `ValueError` for a comment that begins like a range or a choice and is none.
    """
    found = _FORM.match(comment)
    if found is None:
        if _BEGINS.match(comment):
            raise ValueError(
                f"cannot read the range in `# {comment}`; expected a form such as [1, 100], (0, 1], "
                "2+ of [1, inf) or {one, another}, then a space and what the parameter means"
            )
        return None, comment
    limits = Limits(
        text=found[0].strip(),
        bounds=(found["low"].strip(), found["high"].strip()) if found["low"] else None,
        closed=(found["opens"] != "(", found["closes"] != ")"),
        choices=tuple(choice.strip() for choice in (found["choices"] or "").split(",") if choice.strip()),
        least=int(found["least"] or 1),
        ascending=found["ascending"] is not None,
    )
    for bound in limits.bounds or ():
        _number(_tree(bound), dict.fromkeys(limits.names, 1))  # whether it is arithmetic at all
    return limits, comment[found.end() :]


def _tree(bound: str) -> ast.expr:
    try:
        return ast.parse(bound, mode="eval").body
    except SyntaxError:
        raise ValueError(f"the bound `{bound}` of a range is no number and no arithmetic") from None


def _number(node: ast.expr, names: Mapping[str, Any]) -> float:
    """Value of a bound: numbers, names, signs and the arithmetic above, nothing else."""
    match node:
        case ast.Constant(value=int() | float() as value):
            return value
        case ast.Name(id="inf"):
            return math.inf
        case ast.Name(id=name):
            return float(names[name]) if isinstance(names[name], float) else int(names[name])
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_number(operand, names)
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _ARITHMETIC:
            return float(_ARITHMETIC[type(sign)](_number(left, names), _number(right, names)))
    raise ValueError(f"the bound `{ast.unparse(node)}` of a range is no number and no arithmetic")
