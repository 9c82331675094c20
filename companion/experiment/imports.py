"""Which files of this repository can change what a notebook computes: those it imports, directly or not."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from companion.experiment import notebooks

if TYPE_CHECKING:
    from grimp import ImportGraph

PACKAGES = ("memlib", "companion")


def imported_files(paths: Iterable[Path], root: Path) -> dict[Path, list[Path]]:
    """For each text notebook the files of `memlib` and `companion` that it imports, directly or not.

    Imports inside of functions count, those for type checking alone do not. With a module come the packages
    it lies in, which Python executes first.

    Args:
        paths: of the notebooks.
        root: folder of the packages; files are given relative to it.
    """
    import grimp  # only the pipeline needs it

    graph = grimp.build_graph(*PACKAGES, exclude_type_checking_imports=True, cache_dir=None)
    return {path: _files(graph, _named(path), root) for path in paths}


def _files(graph: ImportGraph, named: Iterable[str], root: Path) -> list[Path]:
    found: set[str] = set()
    ahead = [module for name in named for module in _modules(graph, name)]
    while ahead:
        module = ahead.pop()
        if module not in found:
            found.add(module)
            for other in graph.find_modules_directly_imported_by(module):
                ahead.extend(_modules(graph, other))
    return sorted(_file(module, root) for module in found)


def _modules(graph: ImportGraph, name: str) -> Iterator[str]:
    """The module called `name`, or that holds it, and the packages around it."""
    words = name.split(".")
    for length in range(1, len(words) + 1):
        module = ".".join(words[:length])
        if module in graph.modules:
            yield module


def _file(module: str, root: Path) -> Path:
    path = Path(*module.split("."))
    return path / "__init__.py" if (root / path).is_dir() else path.with_suffix(".py")


def _named(path: Path) -> Iterator[str]:
    """What the code of a notebook imports from the packages."""
    for cell in notebooks.read(path).cells:
        if cell.cell_type != "code":
            continue
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            else:
                continue
            yield from (name for name in names if name.split(".")[0] in PACKAGES)
