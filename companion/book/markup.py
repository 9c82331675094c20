"""Repairs of the HTML that other extensions write, which checks of accessibility and of ids find faulty."""

from __future__ import annotations

import re
from typing import Any

from sphinx.application import Sphinx

REPAIRS = (
    (r'(<p class="admonition-title") id="[^"]*"', r"\1"),  # the title of a lemma has the id of the lemma
    (r'(<section class="\w+-content") id="proof-content"', r"\1"),  # its text, and every proof, the same ids
    (r'(<div class="proof admonition") id="proof"', r"\1"),
    (r'(<div class="citation"[^>]*) role="doc-biblioentry"', r'\1 role="listitem"'),  # an item of role="list"
)
"""Patterns and what takes their place."""


def repaired(body: str) -> str:
    """The body of a page with its faults mended.

    Example:
        >>> repaired('<div class="citation" id="id3" role="doc-biblioentry">')
        '<div class="citation" id="id3" role="listitem">'
    """
    for pattern, replacement in REPAIRS:
        body = re.sub(pattern, replacement, body)
    return body


def _on_page(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: object) -> None:  # noqa: ARG001
    if "body" in context:
        context["body"] = repaired(context["body"])


def setup(app: Sphinx) -> None:
    """Register the repair of every page."""
    app.connect("html-page-context", _on_page)
