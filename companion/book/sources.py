"""Where a figure or a table comes from, beneath it: the code of its cell, its data, its files, the commit.

Tables that a cell shows are numbered as figures are, under the description with which they were recorded, or
under the caption in the metadata of the cell: `table={"caption": "...", "name": "tab-..."}`. Without a name
of its own a table is cited as `tab-NN-NAME`: the number of the chapter, and the name it is recorded under.
"""

from __future__ import annotations

import json
import re
from pathlib import Path, PurePosixPath
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.util.docutils import SphinxTranslator

from companion.book.cells import Recorded, recorded
from companion.experiment.results import Results
from companion.roles import of_page

LONGEST = 12
"""Rows of a table that is shown whole; a longer one is folded."""

COMMIT = 8
"""Digits of a commit's hash that are written."""

FILES = "../_static/runs"
"""Where the files of the runs are, seen from a chapter."""


class run_table(nodes.figure):  # type: ignore[misc]  # noqa: N801 - docutils names nodes so
    """A numbered table: its caption, its sources, its rows."""


class run_table_rows(nodes.General, nodes.Element):  # type: ignore[misc]  # noqa: N801
    """The rows of a numbered table; `rows` says how many they are."""


class Sources(SphinxTransform):
    """Numbers the tables of a chapter, and adds their sources to its figures and tables."""

    default_priority = 400

    def apply(self, **_: Any) -> None:
        """Go through the cells of the page."""
        run = of_page(self.env, PurePosixPath(self.env.docname).name)
        if run is None:
            return
        of_cells = [(cell, recorded(_code(cell))) for cell in self.document.findall(_is_cell)]
        inside = {id(figure) for cell, _ in of_cells for figure in cell.findall(nodes.figure)}
        outside = [figure for figure in self.document.findall(nodes.figure) if id(figure) not in inside]
        written = re.findall(
            r"^`*:*{(?:glue:)?figure} (\S+)", _prose(self.env.doc2path(self.env.docname)), re.M
        )
        glued = dict(
            zip((PurePosixPath(key.removeprefix("figure_")).stem for key in written), outside, strict=False)
        )
        for number, (cell, found) in enumerate(of_cells):
            kind, names = ("figure", found.figures) if found.figures else ("table", found.tables)
            anchor = nodes.make_id(f"code-of-{kind}-{names[0]}" if names else f"code-of-cell-{number}")
            _part(cell, "source")["ids"].append(anchor)
            if found.finishes:
                _part(cell, "output")["ids"].append("provenance")
                continue
            shown = [glued[name] for name in found.figures if name in glued]
            for figure, name in zip(shown or cell.findall(nodes.figure), found.figures, strict=False):
                figure.append(nodes.legend("", _sources(run, anchor, name, found)))
            self._number_tables(run, cell, found, anchor)

    def _number_tables(self, run: Results, cell: nodes.Element, found: Recorded, anchor: str) -> None:
        shown = [bundle for bundle in cell.findall(_is_bundle) if "<table" in _html(bundle).astext()]
        given = cell["cell_metadata"].get("table", {})
        for bundle, own in zip(
            shown, given if isinstance(given, list) else [given] * len(shown), strict=False
        ):
            name = next(reversed(found.tables), "")
            about = run.tables[name].about if name in run.tables else ""
            if not (caption := own.get("caption", about)):
                continue
            label = own.get("name", f"tab-{run.notebook[:2]}-{name.replace('_', '-')}")
            table = run_table(names=[label])
            self.document.note_explicit_target(table, table)
            bundle.replace_self(table)
            _round(_html(bundle))
            rows = _html(bundle).astext().partition("<tbody")[2].count("<tr")
            table += nodes.caption("", "", *_with_math(caption))
            table += _sources(run, anchor, "", found)
            table += run_table_rows("", bundle, rows=rows)


def _prose(notebook: str) -> str:
    """The prose of a notebook, cell after cell."""
    cells = json.loads(Path(notebook).read_text(encoding="utf-8"))["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


def _sources(run: Results, anchor: str, figure: str, found: Recorded) -> nodes.paragraph:
    """A line of links: the code, the files of the data and of the figure, the commit."""
    tables = [figure] if figure in run.tables else found.tables
    kept = [run.figures[figure]] if figure in run.figures else []
    kept = [run.tables[name] for name in tables if name in run.tables] + kept
    links = [nodes.reference("", "code", refid=anchor, internal=True)]
    for file in (file for artifact in kept for file in artifact.files):
        path = PurePosixPath(file)
        words = f"data ({path.suffix[1:]})" if path.parts[0] == "tables" else path.suffix[1:].upper()
        links.append(nodes.reference("", words, refuri=f"{FILES}/{run.notebook}/{file}"))
    links.append(nodes.reference("", f"commit {run.commit[:COMMIT]}", refid="provenance", internal=True))
    line = nodes.paragraph(classes=["sources"])
    for place, link in enumerate(links):
        line += [nodes.Text(" · "), link] if place else [link]
    return line


def _is_cell(node: nodes.Node) -> bool:
    return isinstance(node, nodes.container) and node.get("nb_element") == "cell_code" and bool(node.children)


def _is_bundle(node: nodes.Node) -> bool:
    return isinstance(node, nodes.container) and node.get("nb_element") == "mime_bundle"


def _part(cell: nodes.Element, name: str) -> nodes.Element:
    """The part of a cell, its source or its output; one that is not shown is an element of no page."""
    wanted = f"cell_code_{name}"
    return next((part for part in cell.children if part.get("nb_element") == wanted), nodes.Element())


def _code(cell: nodes.Element) -> str:
    return str(_part(cell, "source").astext())


def _html(bundle: nodes.Element) -> nodes.Element:
    """What an output is in HTML; an element without text where it is something else."""
    found = (part for part in bundle.children if part.get("mime_type") == "text/html")
    return next(found, nodes.Element())


def _round(html: nodes.Element) -> None:
    """Four digits for the numbers of a table that pandas has written; its file has them all."""
    for raw in html.findall(nodes.raw):
        if 'class="dataframe"' in (text := raw.astext()):
            short = re.sub(r"(?<=<td>)-?\d+\.\d+(?=</td>)", lambda found: f"{float(found[0]):.4g}", text)
            raw.children = [nodes.Text(short)]


def _with_math(caption: str) -> list[nodes.Node]:
    """A caption with formulas between signs of dollar."""
    parts = re.split(r"\$([^$]+)\$", caption)
    return [
        nodes.math("", part) if place % 2 else nodes.Text(part) for place, part in enumerate(parts) if part
    ]


def _open_table(self: SphinxTranslator, node: nodes.Element) -> None:
    self.body.append(self.starttag(node, "figure", CLASS="run-table"))


def _close_table(self: SphinxTranslator, node: nodes.Element) -> None:  # noqa: ARG001
    self.body.append("</figure>\n")


def _open_rows(self: SphinxTranslator, node: nodes.Element) -> None:
    self.body.append("</figcaption>\n")  # docutils opens it with the caption
    if node["rows"] > LONGEST:
        self.body.append(f'<details class="rows"><summary>Show the {node["rows"]} rows</summary>\n')


def _close_rows(self: SphinxTranslator, node: nodes.Element) -> None:
    self.body.append("</details>\n" if node["rows"] > LONGEST else "")


def _pass(self: SphinxTranslator, node: nodes.Element) -> None:
    """Formats other than HTML show the rows alone."""


def setup(app: Sphinx) -> None:
    """Register the transform and the nodes."""
    skip = (_pass, _pass)
    app.add_enumerable_node(run_table, "table", html=(_open_table, _close_table), latex=skip, text=skip)
    app.add_node(run_table_rows, html=(_open_rows, _close_rows), latex=skip, text=skip)
    app.add_transform(Sources)
