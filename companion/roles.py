"""Roles for the book's pages, for numbers with their bounds: "0.50 (0.25 to 0.75)".

`{interval}`KEY:.2f`` pastes what `Run.record` has glued, as `{glue:text}` does, and
`../notebooks/NAME.ipynb::KEY` is a number of another page. `{recorded}`KEY:.2f`` is the number of the
chapter's recorded run, and `NAME::KEY` that of another chapter.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from docutils import nodes
from myst_nb.ext.glue.roles import PasteTextRole
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxRole

from companion.experiment import recorded


class IntervalRole(SphinxRole):
    """The estimate and its bounds, each as the format after the last colon says."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Nodes for the page, and what went wrong."""
        key, _, spec = self.text.rpartition(":")
        found: list[nodes.Node] = []
        messages: list[nodes.system_message] = []
        for before, bound in (("", ""), (" (", "_lo"), (" to ", "_hi")):
            pasted, faults = PasteTextRole()(
                self.name, self.rawtext, f"{key}{bound}:{spec}", self.lineno, self.inliner
            )
            found += [nodes.Text(before), *pasted]
            messages += faults
        return [*found, nodes.Text(")")], messages


class RecordedRole(SphinxRole):
    """A number of a recorded run with its bounds, each as the format after the last colon says."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Nodes for the page, and what went wrong."""
        reference, _, spec = self.text.rpartition(":")
        chapter, _, key = reference.rpartition("::")
        chapter = chapter or PurePosixPath(self.env.docname).name
        found = recorded.load(chapter)
        if found is None or key not in found.scalars:
            missing = f"no {key} in the recorded run of {chapter}; `make record` makes it"
            return [], [self.inliner.reporter.error(missing, line=self.lineno)]
        self.env.note_dependency(str(recorded.folder() / f"{chapter}.json"))
        scalar = found.scalars[key]
        bounds = f" ({scalar.low:{spec}} to {scalar.high:{spec}})" if scalar.interval else ""
        return [nodes.Text(f"{scalar.value:{spec}}{bounds}")], []


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the roles; called by Sphinx."""
    app.add_role("interval", IntervalRole())
    app.add_role("recorded", RecordedRole())
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
