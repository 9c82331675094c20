"""What the front door promises: the example runs, the citation file is usable, the files it names exist."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest
import yaml

import memlib

PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)


def first_example(page: Path) -> str:
    found = PYTHON.search(page.read_text(encoding="utf-8"))
    assert found, f"{page} has no Python example"
    return found.group(1)


def test_the_example_is_the_same_everywhere_and_says_what_the_text_says(project: Path) -> None:
    example = first_example(project / "README.md")
    assert example == first_example(project / "book/intro.md")
    printed = io.StringIO()
    names: dict[str, object] = {}
    with contextlib.redirect_stdout(printed):
        exec(compile(example, "README.md", "exec"), names)  # noqa: S102
    tiny, broad = names["hessian"].dense(names["H"]).eigenvalues * names["sigma"] ** 2
    assert ((tiny > -1.001) & (tiny < -0.98)).all()
    assert (broad > -0.9).all()
    assert printed.getvalue().startswith("tensor([[-0.99")


def test_the_citation_file_is_valid_and_current(project: Path) -> None:
    citation = yaml.safe_load((project / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation.keys() >= {"cff-version", "message", "title", "authors", "license", "references"}
    assert citation["version"] == memlib.__version__
    assert all(author.keys() <= {"name"} for author in citation["authors"])
    assert citation["references"][0]["authors"][2]["family-names"] == "No"  # not the YAML truth value


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_named_files_exist(project: Path, name: str) -> None:
    text = (project / name).read_text(encoding="utf-8")
    links = re.findall(r"(?:\]\(|src=\")(?!https?://|#)([^)\"]+)", text)
    paths = re.findall(r"`((?:book|data|memlib|notebooks|tests|workflow)/[\w./]+)`", text)
    paths = [path for path in paths if "NN_" not in path]
    assert [path for path in links + paths if not (project / path).exists()] == []


def test_every_notebook_is_in_the_book(project: Path) -> None:
    toc = (project / "_toc.yml").read_text(encoding="utf-8")
    landing = (project / "book/intro.md").read_text(encoding="utf-8")
    for notebook in (project / "notebooks").glob("[0-9]*.py"):
        assert f"notebooks/{notebook.stem}\n" in toc, f"{notebook.name} is not in _toc.yml"
        assert f"notebooks/{notebook.stem}`" in landing, (
            f"{notebook.name} is not in the table of book/intro.md"
        )


@pytest.mark.parametrize("package", ["memlib", "companion"])
def test_every_module_is_on_the_page_of_the_architecture(project: Path, package: str) -> None:
    page = (project / "book/guide/architecture.md").read_text(encoding="utf-8")
    section = page.partition(f"\n## {package}\n")[2].partition("\n## ")[0]
    shown = set(re.findall(r"^\| \d+ \| `(\w+)` \|", section, re.MULTILINE))
    modules = {
        path.stem
        for path in (project / package).iterdir()
        if (path.suffix == ".py" or (path / "__init__.py").is_file()) and not path.stem.startswith("_")
    }
    assert shown == modules
