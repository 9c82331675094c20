"""What a machine can hold of the documentation: everything public has a docstring that tells its errors.

What is offered to users, the modules of memlib and what its numerical packages export, also names its
arguments where there is more than one.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted(ROOT.glob("memlib/*.py"))
NUMERICAL = ("hessian", "sharpness", "detection")
EXPORTING = [ROOT / "memlib" / name / "__init__.py" for name in NUMERICAL]
OTHERS = [
    path
    for name in (
        *(f"memlib/{name}" for name in NUMERICAL),
        "memlib/mitigation",
        "memlib/networks",
        "companion",
    )
    for path in sorted((ROOT / name).rglob("*.py"))
    if path.parent.name not in {"cli", "organism"}  # what a command's docstring says is its help
]
Function = ast.FunctionDef | ast.AsyncFunctionDef


class Public(NamedTuple):
    """A public function, class or method, with the text that documents it."""

    name: str
    text: str | None
    arguments: list[str]
    errors: set[str]


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def documented(name: str, text: str | None, function: Function | None) -> Public:
    if function is None:
        return Public(name, text, [], set())
    given = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    names = [argument.arg for argument in given if argument.arg not in {"self", "cls"}]
    return Public(name, text, names, raised(function.body))


def raised(body: list[ast.stmt]) -> set[str]:
    """Names of the errors that are raised in a body itself, not in functions inside it."""
    found: set[str] = set()
    waiting: list[ast.AST] = list(body)
    while waiting:
        match waiting.pop():
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef() | ast.Lambda():
                pass
            case ast.Raise(exc=ast.Call(func=ast.Name(id=error))):
                found.add(error)
            case node:
                waiting.extend(ast.iter_child_nodes(node))
    return found


def public(source: str, module: str) -> Iterator[Public]:
    """Everything public that a module defines; a class has the arguments and errors of its `__init__`."""
    for node in ast.parse(source).body:
        if not isinstance(node, Function | ast.ClassDef) or node.name.startswith("_"):
            continue
        name, text = f"{module}.{node.name}", ast.get_docstring(node)
        if isinstance(node, Function):
            yield documented(name, text, node)
            continue
        methods = {member.name: member for member in node.body if isinstance(member, Function)}
        yield documented(name, text, methods.get("__init__"))
        for method in (m for m in methods.values() if not m.name.startswith("_")):
            yield documented(f"{name}.{method.name}", ast.get_docstring(method), method)


def offered() -> set[str]:
    """Dotted names that the exporting packages import from their modules."""
    return {
        f"{node.module}.{alias.name}"
        for path in EXPORTING
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def faults(item: Public, *, arguments: bool) -> list[str]:
    """What the documentation of an item leaves out."""
    if not item.text:
        return [f"{item.name} has no docstring"]
    words = set(re.findall(r"\w+", item.text))
    named = item.arguments if arguments and len(item.arguments) > 1 else []
    return [f"{item.name} does not name its argument {name}" for name in named if name not in words] + [
        f"{item.name} does not tell its {error}" for error in sorted(item.errors - words)
    ]


@pytest.mark.parametrize("path", [*MODULES, *OTHERS], ids=dotted)
def test_everything_public_tells_its_arguments_and_errors(path):
    exported = offered()
    found = public(path.read_text(encoding="utf-8"), dotted(path))
    everything = path in MODULES
    assert [
        fault
        for item in found
        for fault in faults(
            item, arguments=everything or item.name in exported or item.name.rpartition(".")[0] in exported
        )
    ] == []


def test_what_is_left_out_is_named():
    source = '''
def told(x, y):
    """Sum of x and y; `ValueError` where x is negative."""
    if x < 0:
        raise ValueError(x)
def untold(x, y):
    """Sum of x and something."""
    def inner():
        raise KeyError(x)
    raise ValueError(y)
class Thing:
    """A thing."""
    def __init__(self, size, weight): ...
    def bare(self): ...
    def _hidden(self): ...
'''
    found = [fault for item in public(source, "m") for fault in faults(item, arguments=True)]
    assert found == [
        "m.untold does not name its argument y",
        "m.untold does not tell its ValueError",
        "m.Thing does not name its argument size",
        "m.Thing does not name its argument weight",
        "m.Thing.bare has no docstring",
    ]
