"""Schemas of `book/map.yml`, from items of the paper to code, and of `book/failures.yml`."""

from __future__ import annotations

import pkgutil
import re
from pathlib import Path

from companion.claims.ledger import Entry, Key, Name, Sentence


class Item(Entry):
    """A figure, table, equation or algorithm of the paper, and where it lives here, if it does yet."""

    paper: Sentence
    shows: Sentence
    chapter: str | None = None
    functions: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()


class PaperMap(Entry):
    """All items, in the order of the paper."""

    items: tuple[Item, ...]


class Failure(Entry):
    """A way in which sharpness misleads, and the numbers of the runs that show it (`notebook::key`)."""

    id: Name
    title: Sentence
    text: Sentence
    measured: tuple[Key, ...] = ()


class Failures(Entry):
    """All known ways."""

    failures: tuple[Failure, ...]


def faults(item: Item, root: Path) -> list[str]:
    """What an item names that does not exist: its notebook, a function, a test in its file."""
    found = []
    if item.chapter and not (root / "notebooks" / f"{item.chapter}.py").is_file():
        found.append(f"{item.paper}: no notebook {item.chapter}")
    gone = [name for name in item.functions if not _imports(name)]
    found += [f"{item.paper}: no {name} in memlib or companion" for name in gone]
    found += [f"{item.paper}: no test {name}" for name in item.tests if not _is_test(name, root)]
    return found


def _imports(name: str) -> bool:
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError, ValueError):
        return False
    return name.startswith(("memlib.", "companion."))


def _is_test(name: str, root: Path) -> bool:
    """Whether `tests/file.py::test_name` is there."""
    file, _, test = name.partition("::")
    path = root / file
    return path.is_file() and bool(
        re.search(rf"^\s*def {re.escape(test)}\(", path.read_text(encoding="utf-8"), re.MULTILINE)
    )
