"""The parameters cell of a notebook: read without running it, and checked before anything runs.

A parameter is one annotated line, `samples: int = 5  # [1, 1000] samples per class`, in the one cell tagged
`parameters`; the comment begins with what it may be (`companion.experiment.limits`). papermill itself accepts
any name, type and value; here an unknown, missing, ill-typed or impossible one is an error.
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from companion.experiment import limits, notebooks

TYPES: dict[str, TypeAdapter[Any]] = {
    name: TypeAdapter(kind, config=ConfigDict(strict=True, allow_inf_nan=False))
    for name, kind in {
        "bool": bool,
        "int": int,
        "float": float,
        "str": str,
        "list[int]": list[int],
        "list[float]": list[float],
        "list[str]": list[str],
    }.items()
}
"""Supported types by the name they have in an annotation. An int is a float, a bool is not an int."""

_MISSING = object()


@dataclass(frozen=True)
class Parameter:
    """One line of a parameters cell."""

    name: str
    type: str
    default: Any = _MISSING
    help: str = ""
    limits: limits.Limits | None = None

    @property
    def required(self) -> bool:
        """Whether the notebook gives no default."""
        return self.default is _MISSING

    def __str__(self) -> str:
        """`name: type = default  # limits`, as in the notebook."""
        default = "" if self.required else f" = {self.default!r}"
        return f"{self.name}: {self.type}{default}" + (f"  # {self.limits.text}" if self.limits else "")


def read(notebook: Path) -> list[Parameter]:
    """Parameters of a notebook (`.py` percent, MyST `.md` or `.ipynb`), in their order; nothing is run.

    Raises `ValueError` unless exactly one cell is tagged `parameters` and each of its lines is an annotated
    literal.
    """
    if not notebook.is_file():
        raise ValueError(
            f"{notebook} is not there; expected a text notebook such as notebooks/02_gaussian_mixture.py"
        )
    cells = [
        cell.source
        for cell in notebooks.read(notebook).cells
        if cell.cell_type == "code" and "parameters" in cell.metadata.get("tags", [])
    ]
    if len(cells) != 1:
        raise ValueError(
            f'{notebook} has {len(cells)} cells tagged "parameters"; expected one: # %% tags=["parameters"]'
        )
    try:
        return parse(cells[0])
    except (SyntaxError, ValueError) as error:
        raise ValueError(f"parameters cell of {notebook}: {error}") from error


def parse(source: str) -> list[Parameter]:
    """Parameters declared by the source text of a parameters cell.

    Raises:
        ValueError: a line that declares no parameter, an unknown type, or a range that refers to something
            else.
    """
    comments = _comments(source)
    found = [_parameter(node, comments) for node in ast.parse(source).body if not _is_docstring(node)]
    numbers = {parameter.name for parameter in found if parameter.type in {"int", "float"}}
    for parameter in found:
        if parameter.limits and (strange := parameter.limits.names - numbers):
            raise ValueError(
                f"the range of {parameter.name} refers to {', '.join(sorted(strange))}; "
                f"expected parameters that are one number: {', '.join(sorted(numbers)) or 'there are none'}"
            )
    check([parameter for parameter in found if not parameter.required], {})
    return found


def check(parameters: Iterable[Parameter], overrides: Mapping[str, object]) -> dict[str, Any]:
    """Values of all parameters: the defaults with `overrides` on top.

    Raises `ValueError` naming every unknown, missing, ill-typed or impossible parameter, close matches, and
    valid ones.
    """
    declared = {parameter.name: parameter for parameter in parameters}
    faults = [_unknown(name, declared) for name in overrides if name not in declared]
    values, wrong = _typed(declared.values(), overrides)
    faults += wrong
    for name, value in values.items():
        within = declared[name].limits
        if within is not None and (fault := within.fault(value, values)):
            faults.append(f"{name} {fault}")
    if faults:
        valid = "\n".join(f"  {parameter}" for parameter in declared.values()) or "  (none)"
        raise ValueError("; ".join(faults) + f"\nvalid parameters:\n{valid}")
    return values


def _typed(
    parameters: Iterable[Parameter], overrides: Mapping[str, object]
) -> tuple[dict[str, Any], list[str]]:
    """Values that have the type of their parameter, and the faults of the others."""
    faults, values = [], {}
    for parameter in parameters:
        value = overrides.get(parameter.name, parameter.default)
        if value is _MISSING:
            faults.append(f"{parameter.name} is missing and has no default")
            continue
        try:
            values[parameter.name] = TYPES[parameter.type].validate_python(value)
        except ValidationError:
            faults.append(
                f"{parameter.name} must be {parameter.type}, got {value!r} ({type(value).__name__})"
                + _hint(parameter, value)
            )
    return values, faults


def from_text(parameters: Iterable[Parameter], texts: Mapping[str, str]) -> dict[str, object]:
    """Overrides typed on a command line, `{"sizes": "[4, 8]"}`, as values; what is unreadable stays text."""
    types = {parameter.name: parameter.type for parameter in parameters}
    return {name: _from_text(types.get(name, "str"), text) for name, text in texts.items()}


def _from_text(kind: str, text: str) -> object:
    if kind == "str":
        return text
    try:
        return ast.literal_eval({"true": "True", "false": "False"}.get(text.lower(), text))
    except (SyntaxError, ValueError):
        return text


def from_namespace(namespace: Mapping[str, object], source: Iterable[Parameter] = ()) -> list[Parameter]:
    """Parameters of a running notebook: every annotated variable of a supported type in its `globals()`.

    Comments are not in there; meanings and limits come from `source`, the parameters that its text declares.
    """
    known = {(parameter.name, parameter.type): parameter for parameter in source}
    return [
        replace(known.get((name, kind), Parameter(name, kind)), default=namespace[name])
        for name, kind in (
            (name, _type_name(annotation)) for name, annotation in _annotations(namespace).items()
        )
        if kind in TYPES and name in namespace
    ]


def _annotations(namespace: Mapping[str, object]) -> Mapping[str, object]:
    """Annotations of a namespace; since Python 3.14 they are made on demand by `__annotate__(format)`."""
    found = namespace.get("__annotations__")
    if isinstance(found, Mapping):
        return found
    make = namespace.get("__annotate__")
    made = make(1) if callable(make) else {}  # 1 is annotationlib.Format.VALUE
    return made if isinstance(made, Mapping) else {}


def _type_name(annotation: object) -> str:
    """`int` -> "int", `list[int]` -> "list[int]"; a postponed annotation is a string already."""
    return annotation.__name__ if type(annotation) is type else str(annotation)


def _comments(source: str) -> dict[int, str]:
    """Line number -> text of the comment that ends the line."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {token.start[0]: token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT}


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _parameter(node: ast.stmt, comments: Mapping[int, str]) -> Parameter:
    if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)):
        raise ValueError(
            f"line {node.lineno} is `{ast.unparse(node)}`; expected `name: type = value  # help`"
        )
    name, kind = node.target.id, ast.unparse(node.annotation)
    if kind not in TYPES:
        raise ValueError(f"{name} has type {kind}; expected one of {', '.join(TYPES)}")
    lines = range(node.lineno, (node.end_lineno or node.lineno) + 1)
    within, meaning = limits.parse(" ".join(comments[line] for line in lines if line in comments))
    return Parameter(name, kind, _literal(name, node.value), meaning, within)


def _literal(name: str, value: ast.expr | None) -> object:
    if value is None:
        return _MISSING
    try:
        return ast.literal_eval(value)
    except ValueError:
        raise ValueError(
            f"{name} is set to `{ast.unparse(value)}`; expected a literal: the values of a run replace "
            "defaults after this cell, so compute what depends on them in a later one"
        ) from None


def _unknown(name: str, declared: Iterable[str]) -> str:
    close = get_close_matches(name, declared, n=2)
    return f"unknown parameter {name!r}" + (f", did you mean {' or '.join(close)}?" if close else "")


def _hint(parameter: Parameter, value: object) -> str:
    """YAML 1.1 reads 1e-3 as text."""
    return "; in YAML write 1.0e-3 for 1e-3" if "float" in parameter.type and isinstance(value, str) else ""
