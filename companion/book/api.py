"""Docstrings of `memlib`, written for people who read the code, as reStructuredText for its reference."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sphinx.application import Sphinx

_CODE = re.compile(r"(`+[^`]*`+)")
_COLON = "\N{RATIO}"
"""Stands for a colon that napoleon would take for the end of a type, in the first line about an attribute."""
_FLAGS = re.compile(r"\s*# doctest: .*")
_MARKUP = re.compile(r"([*|\\]|(?<=\w)_\b)")


def restructured(lines: list[str], *, module: bool = False) -> list[str]:
    r"""The lines of a docstring, with what is no markup escaped, and tables and formulas as they stand.

    Args:
        lines: the docstring, without the indentation of its code.
        module: whether it is that of a module, where indented lines are formulas and not arguments.

    Example:
        >>> restructured(["2**3 is `2**3`."])
        ['2\\*\\*3 is `2**3`.']
    """
    found: list[str] = []
    for block in _blocks(lines):
        if block[0].startswith("|") or (module and block[0].startswith("    ")):
            found += [".. code-block:: text", "", *(f"    {line}" for line in block)]
        elif block[0].lstrip().startswith(">>>"):
            found += [_FLAGS.sub("", line) for line in block]
        else:
            found += map(_escaped, block)
        found.append("")
    return found[:-1]


def _blocks(lines: list[str]) -> Iterator[list[str]]:
    """Lines between empty ones; of an example only the lines of code and of what it prints."""
    block: list[str] = []
    for line in [*lines, ""]:
        begins = line.lstrip().startswith(">>>") and block and not block[0].lstrip().startswith(">>>")
        if block and (not line.strip() or begins):
            yield block
            block = []
        if line.strip():
            block.append(line)


def _escaped(line: str) -> str:
    parts = _CODE.split(line)
    return "".join(part if place % 2 else _MARKUP.sub(r"\\\1", part) for place, part in enumerate(parts))


def _before(app: Sphinx, what: str, name: str, item: object, options: object, lines: list[str]) -> None:  # noqa: ARG001
    lines[:] = restructured(lines, module=what == "module")
    if what in ("attribute", "data", "property") and lines:
        lines[0] = lines[0].replace(":", _COLON)


def _after(app: Sphinx, what: str, name: str, item: object, options: object, lines: list[str]) -> None:  # noqa: ARG001
    lines[:] = [line.replace(_COLON, ":") for line in lines]


def setup(app: Sphinx) -> None:
    """Register the changes of docstrings, before napoleon reads their sections and after it."""
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-docstring", _before, priority=400)
    app.connect("autodoc-process-docstring", _after, priority=600)
