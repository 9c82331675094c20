"""memlib stays small: at most 7,000 lines of code, 1,500 for the audit, 300 for the monitor, comments apart.

`python tests/test_size.py` prints the lines of every package, the largest modules first.
"""

import ast
import io
import sys
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MOST, APART = 7000, {"audit": 1500, "monitor": 300}
LAYOUT = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}


def lines_of_code(source):
    """How many lines of `source` hold code."""
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in LAYOUT:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            lines.difference_update(range(node.lineno, node.end_lineno + 1))
    return len(lines)


def of_package(name):
    """Lines of code by module."""
    return {
        path.relative_to(ROOT): lines_of_code(path.read_text(encoding="utf-8"))
        for path in sorted((ROOT / name).rglob("*.py"))
    }


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("", 0),
        ('"""A module."""\n\n# a comment\nx = 1  # one\n', 1),
        ('def f():\n    """What it does.\n\n    At length.\n    """\n    return """two\nlines"""\n', 3),
        ('x: int = 1\n"""A docstring of x."""\n', 1),
        ("f(\n    1,\n\n    # not this\n    2,\n)\n", 4),
        ("async def f(): ...\n", 1),
    ],
)
def test_what_counts(source, lines):
    assert lines_of_code(source) == lines


def test_memlib_is_small():
    modules = of_package("memlib")
    assert len(modules) > 20
    rest = sum(modules.values())
    for name, most in APART.items():
        lines = sum(count for path, count in modules.items() if name in path.as_posix())
        assert 0 < lines <= most, f"memlib.{name} has {lines:,} lines of code, {most:,} at most"
        rest -= lines
    assert rest <= MOST, f"memlib has {rest:,} lines of code without {', '.join(APART)}, {MOST:,} at most"


if __name__ == "__main__":
    for name in ("memlib", "companion"):
        modules = of_package(name)
        sys.stdout.write(f"{name}: {sum(modules.values()):,} lines of code in {len(modules)} modules\n")
        for path, count in sorted(modules.items(), key=lambda item: -item[1])[:5]:
            sys.stdout.write(f"  {count:5,}  {path}\n")
