"""Links from each page to the glossary: where it first says a term, with the definition on hover."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.nodes import make_refnode

APART = (
    nodes.title,
    nodes.caption,
    nodes.reference,
    nodes.literal,
    nodes.literal_block,
    nodes.raw,
    nodes.term,
    nodes.entry,
)
"""Where words are left alone."""


class Terms(SphinxPostTransform):
    """Links the first mention of each term of the glossary."""

    default_priority = 15  # after references are resolved

    def run(self, **_: Any) -> None:
        """Go through the text of a page."""
        defined = dict(_definitions(self.env))
        here = self.env.docname
        left = {term: one for term, one in defined.items() if one[0] != here}
        for reference in self.document.findall(nodes.reference):
            place = str(reference.get("refid", reference.get("refuri", ""))).rpartition("#")[2]
            for term, (_document, anchor, meaning) in defined.items():
                if place == anchor:
                    reference["reftitle"] = meaning
                    left.pop(term, None)
        for text in [text for text in self.document.findall(nodes.Text) if _is_prose(text)]:
            self._link(text, left)

    def _link(self, text: nodes.Text, left: dict[str, tuple[str, str, str]]) -> None:
        """Put links into a piece of text for the terms that it is the first to say."""
        words = "|".join(sorted(map(re.escape, left), key=len, reverse=True))
        found = re.search(rf"(?<![\w-])({words})(s?)(?![\w-])", text) if left else None
        if found is None:
            return
        document, anchor, meaning = left.pop(found[1])
        link = make_refnode(
            self.app.builder,
            self.env.docname,
            document,
            anchor,
            nodes.inline("", found[0], classes=["term"]),
            meaning,
        )
        before, after = nodes.Text(text[: found.start()]), nodes.Text(text[found.end() :])
        text.parent.replace(text, [before, link, after])
        self._link(after, left)


def _definitions(env: BuildEnvironment) -> Iterator[tuple[str, tuple[str, str, str]]]:
    """Each term of a glossary with its document, its anchor and what it means, up to a sentence "See ..."."""
    objects = env.get_domain("std").get_objects()
    documents = {document for _, _, kind, document, _, _ in objects if kind == "term"}
    for document in sorted(documents):
        for item in env.get_doctree(document).findall(nodes.definition_list_item):
            for term in item.findall(nodes.term):
                if term["ids"] and term["ids"][0].startswith("term-"):
                    meaning, _, _ = " ".join(item.children[-1].astext().split()).partition(" See ")
                    yield term.astext(), (document, term["ids"][0], meaning.replace("\\", ""))


def _is_prose(text: nodes.Text) -> bool:
    node: nodes.Node | None = text.parent
    if not isinstance(node, nodes.paragraph | nodes.emphasis | nodes.strong):
        return False
    while node is not None:
        if isinstance(node, APART) or "sources" in getattr(node, "attributes", {}).get("classes", ()):
            return False
        node = node.parent
    return True


def setup(app: Sphinx) -> None:
    """Register the transform."""
    app.add_post_transform(Terms)
