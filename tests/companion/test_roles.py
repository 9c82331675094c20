"""A page quotes a recorded number with its interval by one role."""

import nbformat
import pytest

sphinx = pytest.importorskip("sphinx.application")
pytest.importorskip("myst_nb")

PYTHON = {"name": "python", "pygments_lexer": "python"}


def glued(**values):
    return [
        nbformat.v4.new_output(
            "display_data",
            {"application/papermill.record/text/plain": repr(value)},
            metadata={"scrapbook": {"name": name, "mime_prefix": "application/papermill.record/"}},
        )
        for name, value in values.items()
    ]


def build(folder, prose):
    """Text of the page and of another one that quotes it, and the warnings."""
    cells = [
        nbformat.v4.new_markdown_cell(f"# Title\n\n{prose}"),
        nbformat.v4.new_code_cell("1", outputs=glued(auc=0.98765, auc_lo=0.9, auc_hi=1.0)),
    ]
    source = folder / "source"
    source.mkdir()
    nbformat.write(
        nbformat.v4.new_notebook(cells=cells, metadata={"language_info": PYTHON}), source / "index.ipynb"
    )
    (source / "other.md").write_text(
        "---\norphan: true\n---\n# Other\n\nSee {interval}`index.ipynb::auc:.1f`.\n"
    )
    said = folder / "warnings"
    options = {"extensions": ["myst_nb", "companion.roles"], "nb_execution_mode": "off"}
    with said.open("w") as warnings:
        app = sphinx.Sphinx(
            source, None, folder / "out", folder / "trees", "text", options, status=None, warning=warnings
        )
        app.build()
    pages = [" ".join((folder / "out" / f"{name}.txt").read_text().split()) for name in ("index", "other")]
    return *pages, said.read_text()


def test_a_number_is_quoted_with_its_bounds_on_its_page_and_on_others(tmp_path):
    page, other, warnings = build(tmp_path, "It is {interval}`auc:.2f`, or {interval}`auc:.0%`.")
    assert "It is 0.99 (0.90 to 1.00), or 99% (90% to 100%)." in page
    assert "See 1.0 (0.9 to 1.0)." in other
    assert warnings == ""


def test_a_number_without_bounds_is_a_warning(tmp_path):
    _, _, warnings = build(tmp_path, "It is {interval}`missing:.2f`.")
    assert "No key 'missing' found" in warnings
