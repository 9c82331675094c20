"""What a cell of a notebook records, read from its code without running it."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field


@dataclass
class Recorded:
    """What a cell puts into the results of its run.

    Attributes:
        figures: names of the figures that it saves.
        tables: names of the tables that it saves.
        finishes: whether the run ends here, which shows its provenance.
    """

    figures: list[str] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    finishes: bool = False


def recorded(source: str) -> Recorded:
    """What a cell records by `run.figure`, `run.animation`, `run.table`, `tables.tabulate` and `run.finish`.

    Example:
        >>> recorded('run.figure(figure, "paths", opening=True)').figures
        ['paths']
    """
    found = Recorded()
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        match ast.unparse(node.func), [arg.value for arg in node.args[1:2] if isinstance(arg, ast.Constant)]:
            case "run.figure" | "run.animation", [str(name)]:
                found.figures.append(name)
            case "run.table" | "tables.tabulate", [str(name)]:
                found.tables.append(name)
            case "run.finish", _:
                found.finishes = True
    return found
