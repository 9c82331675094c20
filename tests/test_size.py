"""memlib stays small: at most 7,000 lines of code, and 1,500 for the audit, without docstrings and comments.

`python tests/test_size.py` prints the lines of every package, the largest modules first.
"""

import ast
import io
import sys
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MOST, MOST_OF_AUDIT = 7000, 1500
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
    of_audit = sum(lines for path, lines in modules.items() if "audit" in path.as_posix())
    total = sum(modules.values()) - of_audit
    assert total <= MOST, f"memlib has {total:,} lines of code without the audit, {MOST:,} at most"
    assert of_audit <= MOST_OF_AUDIT, f"the audit has {of_audit:,} lines of code, {MOST_OF_AUDIT:,} at most"


if __name__ == "__main__":
    for name in ("memlib", "companion"):
        modules = of_package(name)
        sys.stdout.write(f"{name}: {sum(modules.values()):,} lines of code in {len(modules)} modules\n")
        for path, count in sorted(modules.items(), key=lambda item: -item[1])[:5]:
            sys.stdout.write(f"  {count:5,}  {path}\n")
