"""What the pages of the book add to what Jupyter Book makes of notebooks; loaded by Sphinx.

| module     | adds                                                                                    |
|------------|-----------------------------------------------------------------------------------------|
| `api`      | docstrings of `memlib` as its reference shows them                                      |
| `cells`    | what a cell records, read from its code                                                 |
| `sources`  | numbers for tables, and beneath figures and tables links to code, data, files, commit   |
| `terms`    | links from a page to the glossary, with the definition shown on hover                   |
| `markup`   | repairs of HTML that other extensions write: ids used twice, roles of the bibliography  |
| `weight`   | nothing: it takes away what the theme leaves and no reader needs                        |
"""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx

from companion.book import api, markup, sources, terms, weight


def setup(app: Sphinx) -> dict[str, Any]:
    """Register everything; called by Sphinx."""
    for part in (api, sources, terms, markup, weight):
        part.setup(app)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
