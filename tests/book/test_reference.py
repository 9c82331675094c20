"""The reference has every public name of memlib, and the code of chapters leads to it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

COMMANDS = {"cli"}
"""What is no library; its help tells its options."""


def modules(project: Path) -> dict[str, Path]:
    """The public modules and packages of memlib, by their dotted names."""
    found = [
        path.parent if path.name == "__init__.py" else path for path in project.glob("memlib/*/__init__.py")
    ]
    found += list(project.glob("memlib/*.py"))
    return {
        f"memlib.{path.stem}": path for path in found if path.stem not in COMMANDS and path.stem[0] != "_"
    }


def exported(tree: ast.Module) -> list[str] | None:
    """What `__all__` lists, if there is one."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return [str(name) for name in ast.literal_eval(node.value)]
    return None


def defined(tree: ast.Module) -> Iterator[str]:
    """Public functions and classes of a module, and its data that has a description."""
    for node, after in zip(tree.body, [*tree.body[1:], None], strict=True):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(after, ast.Expr):
            yield ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node.target)


def public_names(project: Path) -> set[str]:
    found = set()
    for module, path in modules(project).items():
        file = path / "__init__.py" if path.is_dir() else path
        tree = ast.parse(file.read_text(encoding="utf-8"))
        names = exported(tree)
        own = [name for name in defined(tree) if name[0] != "_"] if names is None else names
        found |= {f"{module}.{name}" for name in own}
    return found


@pytest.fixture(scope="session")
def documented(book: Path) -> set[str]:
    """Names in the inventory of the built book."""
    from sphinx.util.inventory import InventoryFile

    with (book / "objects.inv").open("rb") as file:
        kinds = InventoryFile.load(file, "", lambda base, uri: uri)
    return {name for kind, names in kinds.items() if kind.startswith("py:") for name in names}


def test_every_module_has_a_page(project: Path) -> None:
    pages = {f"memlib.{path.stem}" for path in project.glob("book/api/*.md")} - {"memlib.index"}
    assert pages == set(modules(project))


def test_every_public_name_is_documented(project: Path, documented: set[str]) -> None:
    names = public_names(project)
    assert {
        "memlib.hessian.Product",
        "memlib.schedule.VariancePreserving",
        "memlib.sharpness.summary",
    } <= names
    assert names - documented == set()


def test_a_name_without_description_is_missed() -> None:
    tree = ast.parse('A = 1\n"""Told."""\nB = 2\nC: int = 3\n"""Told too."""\ndef f(): ...\n')
    assert list(defined(tree)) == ["A", "C", "f"]
    assert exported(ast.parse('__all__ = ["f"]')) == ["f"]


def test_the_code_of_chapters_leads_to_the_reference(book: Path, documented: set[str]) -> None:
    for name in ("02_gaussian_mixture", "04_mnist"):
        page = BeautifulSoup((book / f"notebooks/{name}.html").read_text(encoding="utf-8"), "html.parser")
        links = {str(link["href"]) for link in page.select(".cell_input a.sphinx-codeautolink-a")}
        targets = {link.partition("#")[2] for link in links if link.startswith("../book/api/")}
        assert len(targets) >= 5
        assert targets <= documented | {f"module-{module}" for module in documented}


def test_docstrings_show_no_raw_markup(book: Path) -> None:
    for path in sorted((book / "book/api").glob("*.html")):
        article = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser").find("article")
        assert article is not None
        text = article.get_text()
        assert ":class:`" not in text, path.name
        assert "|--" not in "".join(part.get_text() for part in article.select("p")), path.name
