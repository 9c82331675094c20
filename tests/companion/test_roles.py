"""A page quotes a recorded number with its interval by one role."""

from types import SimpleNamespace

import nbformat
import pytest

from companion.experiment import recorded
from companion.experiment.results import Scalar

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
    # A second Sphinx in one process finds the roles of the first.
    lines = [line for line in said.read_text().splitlines() if "already registered" not in line]
    return *pages, "\n".join(lines)


def test_a_number_is_quoted_with_its_bounds_on_its_page_and_on_others(tmp_path):
    page, other, warnings = build(tmp_path, "It is {interval}`auc:.2f`, or {interval}`auc:.0%`.")
    assert "It is 0.99 (0.90 to 1.00), or 99% (90% to 100%)." in page
    assert "See 1.0 (0.9 to 1.0)." in other
    assert warnings == ""


def test_a_number_without_bounds_is_a_warning(tmp_path):
    _, _, warnings = build(tmp_path, "It is {interval}`missing:.2f`.")
    assert "No key 'missing' found" in warnings


def test_a_number_of_the_recorded_run_is_quoted_with_its_bounds(tmp_path, monkeypatch):
    scalars = {"auc": Scalar(value=0.98765, interval=[0.9, 1.0], level=0.95, n=9), "n": Scalar(value=8)}
    kept = SimpleNamespace(scalars=scalars)
    monkeypatch.setattr(recorded, "load", {"index": kept}.get)
    said = "It is {recorded}`auc:.2f`, and {recorded}`index::n:.0f`."
    page, _, warnings = build(tmp_path, said)
    assert "It is 0.99 (0.90 to 1.00), and 8." in page
    assert warnings == ""


@pytest.mark.parametrize("key", ["absent", "other::auc"])
def test_a_number_that_is_not_recorded_is_an_error(tmp_path, monkeypatch, key):
    monkeypatch.setattr(recorded, "load", {"index": SimpleNamespace(scalars={})}.get)
    _, _, warnings = build(tmp_path, f"It is {{recorded}}`{key}:.2f`.")
    assert f"no {key.rpartition('::')[2]} in the recorded run of" in warnings
