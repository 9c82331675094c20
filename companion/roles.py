"""A role for the book's pages: `{interval}`KEY:.2f`` is a recorded number with its bounds.

The page says "0.50 (0.25 to 0.75)". It pastes what `Run.record` has glued, as `{glue:text}` does, and
`../notebooks/NAME.ipynb::KEY` is a number of another page.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes
from myst_nb.ext.glue.roles import PasteTextRole
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxRole


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


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the role; called by Sphinx."""
    app.add_role("interval", IntervalRole())
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
