"""Roles for the book's pages, for numbers with their bounds: "0.50 (0.25 to 0.75)".

| role                       | what it writes                                                               |
|----------------------------|------------------------------------------------------------------------------|
| `{interval}`KEY:.2f``      | a number of the page's own run                                               |
| `{recorded}`KEY:.2f``      | a number of the chapter's recorded run                                       |
| `{interval}`KEY:.2f n``    | with the number of draws behind it: "0.50 (0.25 to 0.75; n = 4)"             |
| `{took}`run``              | how long the page's own run took, and on what; `recorded`: the recorded one  |

`NAME::KEY` is a number of another chapter. `companion.digits` says how many digits are written.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxRole

from companion import digits
from companion.experiment import recorded, results
from companion.experiment.results import Results

RUNS = PurePosixPath("assets/runs")
"""Where staging puts the runs behind the pages, in the source folder of the book."""

SECONDS, MINUTES = 90, 90 * 60
"""Up to these durations times are told in seconds, and in minutes."""


def of_page(env: BuildEnvironment, chapter: str) -> Results | None:
    """The run behind the page of a chapter; None where none was staged."""
    return _read(Path(env.srcdir) / RUNS / chapter / results.FILE)


def of_record(env: BuildEnvironment, chapter: str) -> Results | None:  # noqa: ARG001 (as `of_page`)
    """The recorded run of a chapter; None if there is none."""
    return recorded.load(chapter)


@lru_cache(maxsize=64)
def _read(path: Path) -> Results | None:
    return results.load(path) if path.is_file() else None


class NumberRole(SphinxRole):
    """A number of a run with its bounds, each as the format after the last colon says."""

    def __init__(self, find: Callable[[BuildEnvironment, str], Results | None], words: str) -> None:
        self._find, self._words = find, words

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Nodes for the page, and what went wrong."""
        reference, _, spec = self.text.rpartition(":")
        spec, n, _ = spec.partition(" n")
        page, _, key = reference.rpartition("::")
        chapter = PurePosixPath(page or self.env.docname).name.removesuffix(".ipynb")
        found = self._find(self.env, chapter)
        scalar = found.scalars.get(key) if found else None
        if scalar is None:
            missing = f"no {key} in the {self._words} of {chapter}; `make record` makes recorded runs"
            return [], [self.inliner.reporter.error(missing, line=self.lineno)]
        if n and scalar.n is None:
            return [], [self.inliner.reporter.error(f"{key} of {chapter} has no n", line=self.lineno)]
        also = f"n = {scalar.n:,}" if n else ""
        return [nodes.Text(digits.interval(scalar.value, scalar.low, scalar.high, spec, also))], []


class TookRole(SphinxRole):
    """How long a run took and on what: "22 minutes (x86_64 CPU, 1 thread)"."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Nodes for the page, and what went wrong."""
        page, _, which = self.text.rpartition("::")
        chapter = PurePosixPath(page or self.env.docname).name
        find = {"run": of_page, "recorded": of_record}.get(which)
        found = find(self.env, chapter) if find else None
        if found is None:
            missing = f"{chapter} has no {which!r} whose time could be told; say `run` or `recorded`"
            return [], [self.inliner.reporter.error(missing, line=self.lineno)]
        return [nodes.Text(f"{duration(found.duration_s)} ({found.hardware})")], []


def duration(seconds: float) -> str:
    """A time for a reader: "57 seconds", "22 minutes", "2.5 hours".

    Example:
        >>> duration(1313)
        '22 minutes'
    """
    if seconds < SECONDS:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < MINUTES else f"{seconds / 3600:.1f} hours"


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the roles; called by Sphinx."""
    app.add_role("interval", NumberRole(of_page, "run"))
    app.add_role("recorded", NumberRole(of_record, "recorded run"))
    app.add_role("took", TookRole())
    return {"version": "2", "parallel_read_safe": True, "parallel_write_safe": True}
