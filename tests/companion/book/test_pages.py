"""A page of a chapter: tables are numbered, what is shown has its sources, terms lead to the glossary."""

import base64
from datetime import UTC, datetime

import nbformat
import pytest
from bs4 import BeautifulSoup

from companion import roles
from companion.book import markup
from companion.experiment.results import Artifact, Results, write

sphinx = pytest.importorskip("sphinx.application")
pytest.importorskip("myst_nb")

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
FIGURE = {"image": {"alt": "A dot."}, "figure": {"caption": "What to see.", "name": "fig-dot"}}


def table(rows):
    body = "".join(f"<tr><th>{k}</th><td>{k / 7}</td></tr>" for k in range(rows))
    return (
        f'<table class="dataframe"><thead><tr><th></th><th>x</th></tr></thead><tbody>{body}</tbody></table>'
    )


def cell(source, metadata=None, **data):
    outputs = [
        nbformat.v4.new_output("display_data", {kind.replace("_", "/"): text}) for kind, text in data.items()
    ]
    return nbformat.v4.new_code_cell(source, outputs=outputs, metadata=metadata or {})


def glued(name):
    output = nbformat.v4.new_output(
        "display_data",
        {"application/papermill.record/image/png": PNG},
        metadata={"scrapbook": {"name": f"figure_{name}", "mime_prefix": "application/papermill.record/"}},
    )
    return nbformat.v4.new_code_cell(f'run.figure(f, "{name}", opening=True)', outputs=[output])


CELLS = [
    nbformat.v4.new_markdown_cell(
        "# Title\n\nA *ghost eigenvalue*, and ghost eigenvalues again: {numref}`fig-dot`, "
        "{numref}`tab-01-few`, {numref}`tab-named`; `score` and scores.\n\n"
        "```{figure} ../assets/runs/01_toy/figures/third.png\n:alt: The third.\n:name: fig-third\n"
        "Three.\n```\n\n"
        "```{glue:figure} figure_second\n:alt: The second.\n:name: fig-second\nTwo.\n```\n\n"
        "```{glue:figure} figure_first\n:alt: The first.\n:name: fig-first\nOne.\n```\n"
    ),
    glued("first"),
    glued("second"),
    cell('run.figure(f, "third")'),
    cell('run.figure(figure, "dot")', {"mystnb": FIGURE}, image_png=PNG),
    cell('run.table(found, "few")', text_html=table(12)),
    cell(
        "tables.shown(rows)",
        {"table": {"caption": "The norm $x^2$", "name": "tab-named"}},
        text_html=table(13),
    ),
    cell("tables.shown(other)", text_html=table(1)),
    cell("run.finish()", text_html="<table class='provenance'><tr><td>where</td></tr></table>"),
]
GLOSSARY = """# Notation

```{glossary}
score
  Gradient of the log density, $\\nabla$. See elsewhere.

ghost eigenvalue
  A copy of an eigenvalue; not a {term}`score`.
```
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("book")
    source, staged = folder / "source", folder / "source" / roles.RUNS / "01_toy"
    figures = {name: Artifact(files=[f"figures/{name}.png"]) for name in ("dot", "first", "second", "third")}
    for name in (*(f"figures/{name}.png" for name in figures), "tables/dot.csv", "tables/few.csv"):
        (staged / name).parent.mkdir(parents=True, exist_ok=True)
        (staged / name).write_bytes(base64.b64decode(PNG) if name.endswith("png") else b"")
    write(
        Results(
            notebook="01_toy",
            run="quick",
            preset="quick",
            parameters={},
            scalars={},
            figures=figures,
            tables={
                "dot": Artifact(files=["tables/dot.csv"]),
                "few": Artifact(files=["tables/few.csv"], about="A few rows"),
            },
            seed=0,
            device="cpu",
            hardware="x86_64 CPU, 1 thread",
            versions={},
            commit="0123456789abcdef",
            dirty=False,
            started=datetime(2026, 1, 1, tzinfo=UTC),
            duration_s=1.0,
        ),
        staged,
    )
    (source / "notebooks").mkdir()
    notebook = nbformat.v4.new_notebook(
        cells=CELLS, metadata={"language_info": {"name": "python", "pygments_lexer": "python"}}
    )
    nbformat.write(notebook, source / "notebooks" / "01_toy.ipynb")
    (source / "index.md").write_text("# Start\n\n```{toctree}\nnotation\nnotebooks/01_toy\n```\n")
    (source / "notation.md").write_text(GLOSSARY)
    said = folder / "warnings"
    options = {
        "extensions": ["myst_nb", "companion.book"],
        "nb_execution_mode": "off",
        "numfig": True,
        "html_theme": "basic",
        "myst_enable_extensions": ["dollarmath"],
    }
    with said.open("w") as warnings:
        sphinx.Sphinx(
            source, None, folder / "out", folder / "trees", "html", options, status=None, warning=warnings
        ).build()
    lines = [line for line in said.read_text().splitlines() if "already registered" not in line]
    assert lines == []
    return BeautifulSoup((folder / "out/notebooks/01_toy.html").read_text(), "html.parser")


def links(caption):
    return {link.get_text(): link["href"] for link in caption.select(".sources a")}


def test_a_figure_says_where_it_comes_from(page):
    found = links(page.select_one("figure#fig-dot figcaption"))
    assert found == {
        "code": "#code-of-figure-dot",
        "data (csv)": "../_static/runs/01_toy/tables/dot.csv",
        "PNG": "../_static/runs/01_toy/figures/dot.png",
        "commit 01234567": "#provenance",
    }
    assert 'run.figure(figure, "dot")' in page.select_one("#code-of-figure-dot").get_text()
    assert "where" in page.select_one("#provenance").get_text()


def test_a_figure_that_stands_elsewhere_is_known_by_its_name(page):
    for name in ("first", "second", "third"):
        found = links(page.select_one(f"figure#fig-{name} figcaption"))
        assert found["PNG"] == f"../_static/runs/01_toy/figures/{name}.png"
        assert found["code"] == f"#code-of-figure-{name}"


def test_tables_are_numbered_and_cited(page):
    few, named = page.select("figure.run-table")
    assert (few["id"], named["id"]) == ("tab-01-few", "tab-named")
    assert few.figcaption.p.get_text().startswith("Table 1 A few rows")
    assert links(few) == {
        "code": "#code-of-table-few",
        "data (csv)": "../_static/runs/01_toy/tables/few.csv",
        "commit 01234567": "#provenance",
    }
    assert named.figcaption.p.get_text().startswith("Table 2 The norm ")
    assert named.figcaption.select_one(".math")
    cited = [link["href"] for link in page.p.select("a") if "numref" in str(link)]
    assert cited == ["#fig-dot", "#tab-01-few", "#tab-named"]


def test_long_tables_are_folded_and_others_are_not(page):
    few, named = page.select("figure.run-table")
    assert few.details is None
    assert named.details.summary.get_text() == "Show the 13 rows"
    assert len(named.details.select("tbody tr")) == 13


def test_numbers_of_pandas_have_four_digits(page):
    assert page.select("figure.run-table td")[1].get_text() == "0.1429"


def test_the_first_mention_of_a_term_leads_to_the_glossary(page):
    ghosts = [link for link in page.p.select("a") if "ghost" in link.get_text()]
    assert [(link.get_text(), link["href"]) for link in ghosts] == [
        ("ghost eigenvalue", "../notation.html#term-ghost-eigenvalue")
    ]
    assert ghosts[0]["title"] == "A copy of an eigenvalue; not a score."
    scores = [link for link in page.p.select("a") if "score" in link.get_text()]
    assert [link.get_text() for link in scores] == ["scores"]
    assert scores[0]["title"] == "Gradient of the log density, nabla."


def test_ids_that_proofs_use_twice_are_taken_away():
    body = (
        '<div class="proof lemma admonition" id="x"><p class="admonition-title" id="x">'
        '<section class="lemma-content" id="proof-content"><div class="proof admonition" id="proof">'
    )
    assert markup.repaired(body).count("id=") == 1
