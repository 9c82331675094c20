"""The built HTML: pages, links, images, and what must never reach a reader."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from bs4 import BeautifulSoup, Tag

from companion import pdf

LINKS = {
    "a": ["href"],
    "link": ["href"],
    "script": ["src"],
    "img": ["src"],
    "source": ["src", "srcset"],
    "video": ["src", "poster"],
}
LOADS = {**LINKS, "iframe": ["src"], "object": ["data"], "embed": ["src"], "audio": ["src"]}
LOADS.pop("a")
NOT_LOADED = {"canonical", "next", "prev", "author", "search", "index", "license"}
MARKUP = re.compile(r"\{[a-z:]+\}`|\$\$|```|^:::", re.MULTILINE)
MACHINE = re.compile(r"(?<![\w.~-])/(?:home|root|tmp|Users|private)/[\w.-]+|site-packages|dist-packages")

Pages = Mapping[Path, BeautifulSoup]


def read(folder: Path) -> Pages:
    files = (
        path for path in sorted(folder.rglob("*.html")) if "_static" not in path.relative_to(folder).parts
    )
    return {path: BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser") for path in files}


def addresses(page: BeautifulSoup, elements: Mapping[str, list[str]]) -> Iterator[tuple[Tag, str]]:
    for name, attributes in elements.items():
        for tag in page.find_all(name):
            for attribute in attributes:
                if address := tag.get(attribute):
                    yield tag, str(address)


def dead_links(pages: Pages, folder: Path) -> list[str]:
    """Relative addresses without a file or without the fragment's target."""
    targets = {
        path: {str(tag[key]) for key in ("id", "name") for tag in page.find_all(attrs={key: True})}
        for path, page in pages.items()
    }
    faults = []
    for path, page in pages.items():
        for _, address in addresses(page, LINKS):
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            where = f"{path.relative_to(folder)} -> {address}"
            if not target.is_file() or not target.is_relative_to(folder):
                faults.append(f"{where}: no such file")
            elif parts.fragment and target in targets and unquote(parts.fragment) not in targets[target]:
                faults.append(f"{where}: no such place on the page")
    return faults


def loaded_from_network(pages: Pages, folder: Path) -> list[str]:
    """What a page would fetch from elsewhere, in HTML or in a style sheet."""
    html = [
        f"{path.relative_to(folder)} loads {address}"
        for path, page in pages.items()
        for tag, address in addresses(page, LOADS)
        if re.match(r"(https?:)?//", address) and not NOT_LOADED.intersection(tag.get("rel") or [])
    ]
    remote = re.compile(r"(?:url\(|@import\s+)\s*[\"']?((?:https?:)?//[^\"')\s]+)")
    css = [
        f"{path.relative_to(folder)} loads {address}"
        for path in folder.rglob("*.css")
        for address in remote.findall(path.read_text(encoding="utf-8"))
    ]
    return html + css


def images_without_text(pages: Pages, folder: Path) -> list[str]:
    return [
        f"{path.relative_to(folder)}: {tag.get('src', '')[:100]}"
        for path, page in pages.items()
        for tag in page.find_all("img")
        if not str(tag.get("alt") or "").strip() or Path(str(tag["alt"])).suffix in {".png", ".svg", ".gif"}
    ]


def raw_markup(pages: Pages, folder: Path) -> list[str]:
    """MyST that was not understood and reached the page as it stands."""
    faults = []
    for path, page in pages.items():
        article = BeautifulSoup(str(page.find("article") or ""), "html.parser")
        for tag in article.find_all(["pre", "code", "script", "style"]):
            tag.decompose()
        faults += [f"{path.relative_to(folder)}: {found!r}" for found in MARKUP.findall(article.get_text())]
    return faults


def machine_paths(folder: Path, *known: str) -> list[str]:
    """Paths of the machine that built the book, in anything a reader sees or downloads."""
    faults = []
    for path in sorted(folder.rglob("*")):
        own = "_static" not in path.relative_to(folder).parts or "runs" in path.relative_to(folder).parts
        if own and path.suffix in {".html", ".ipynb", ".json", ".csv", ".svg", ".md", ".txt"}:
            text = path.read_text(encoding="utf-8")
            found = {match.group() for match in MACHINE.finditer(text)} | {
                name for name in known if name in text
            }
            faults += [f"{path.relative_to(folder)}: {name}" for name in sorted(found)]
    return faults


@pytest.fixture(scope="session")
def toc(project: Path) -> list[str]:
    return list(pdf.entries(yaml.safe_load((project / "_toc.yml").read_text(encoding="utf-8"))))


@pytest.fixture(scope="session")
def pages(book: Path) -> Pages:
    return read(book)


def test_every_entry_of_the_table_of_contents_is_a_page(toc: list[str], book: Path) -> None:
    assert len(toc) == len(set(toc))
    assert [name for name in toc if not (book / f"{name}.html").is_file()] == []


def test_the_front_door_leads_to_the_landing_page(toc: list[str], book: Path) -> None:
    refresh = BeautifulSoup((book / "index.html").read_text(encoding="utf-8"), "html.parser").find(
        "meta", attrs={"http-equiv": "Refresh"}
    )
    assert isinstance(refresh, Tag)
    assert f"url={toc[0]}.html" in str(refresh["content"])


def test_every_chapter_shows_what_its_run_made(toc: list[str], book: Path, pages: Pages) -> None:
    chapters = [name for name in toc if name.startswith("notebooks/")]
    assert chapters
    for name in chapters:
        page = pages[book / f"{name}.html"]
        assert page.select("div.cell_output img"), f"{name} has no picture"
        assert page.select("div.cell_output table.provenance"), f"{name} does not end with run.finish()"
        assert page.select("div.cell_output a[download]"), f"{name} offers nothing for download"


def test_no_id_is_used_twice_on_a_page(pages: Pages, book: Path) -> None:
    faults = []
    for path, page in pages.items():
        counts = Counter(str(tag["id"]) for tag in page.find_all(id=True))
        faults += [f"{path.relative_to(book)}: {name}" for name, count in counts.items() if count > 1]
    assert faults == []


def test_figures_and_tables_of_chapters_are_numbered_and_say_where_they_come_from(
    toc: list[str], book: Path, pages: Pages
) -> None:
    for name in (name for name in toc if name.startswith("notebooks/")):
        page = pages[book / f"{name}.html"]
        shown = page.select("div.cell_output table:not(.parameters, .provenance)")
        assert [table.get_text()[:80] for table in shown if not table.find_parent("figure")] == []
        every = page.select("article figure")
        assert [figure.get_text() for figure in every if not figure.select_one(".caption-number")] == []
        for figure in [every[0], *page.select("div.cell_output figure")]:  # the others are no run's
            assert figure.select_one(".sources a[href^='#code-']"), f"{name}: {figure.get_text()[:80]}"


def test_links_and_images_resolve(pages: Pages, book: Path) -> None:
    assert dead_links(pages, book) == []


def test_the_site_is_light(book: Path) -> None:
    """At most 45 MB, as it is copied to a phone or a server: none of it twice or for debuggers."""
    parts = (book / name for name in ("_images", "_sources", "_static", "book", "notebooks"))
    files = [
        path for part in parts for path in part.rglob("*") if path.is_file()
    ]  # not what other tests write
    sizes = {path: path.stat().st_size for path in files}
    heaviest = sorted(sizes, key=lambda path: -sizes[path])[:5]
    assert sum(sizes.values()) <= 45e6, [f"{path}: {sizes[path]:,}" for path in heaviest]
    assert [path for path in sizes if path.suffix == ".map"] == []


def test_nothing_is_loaded_from_a_network(pages: Pages, book: Path) -> None:
    assert loaded_from_network(pages, book) == []


def test_images_have_alternative_text(pages: Pages, book: Path) -> None:
    assert images_without_text(pages, book) == []


def test_no_markup_is_left_raw(pages: Pages, book: Path) -> None:
    assert raw_markup(pages, book) == []


def test_no_path_of_this_machine_is_shown(book: Path, project: Path) -> None:
    assert machine_paths(book, str(project), sys.prefix, str(book)) == []


def test_no_error_or_warning_is_shown(pages: Pages, book: Path) -> None:
    shown = [
        f"{path.relative_to(book)}: {block.get_text()[:200]}"
        for path, page in pages.items()
        for block in page.select("div.cell_output .stderr, div.cell_output .traceback, div.system-message")
    ]
    assert shown == []
    assert [
        path.name for path, page in pages.items() if "Traceback (most recent call last)" in page.get_text()
    ] == []


FAULTY = """
<link rel="stylesheet" href="https://elsewhere.example/a.css"><link rel="next" href="https://elsewhere.example/next">
<article><p id="here">{glue:text}`x` and <code>{cite}`y`</code></p>
<a href="#here">good</a> <a href="#gone">bad</a> <a href="other.html">bad</a>
<a href="https://elsewhere.example">outside</a> <img src="a.png" alt="A picture"> <img src="a.png">
<img src="b.png" alt="b.png"> <pre>/home/someone/notebook.py</pre></article>
"""


def test_the_checks_see_faults(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(FAULTY, encoding="utf-8")
    (tmp_path / "a.png").touch()
    (tmp_path / "style.css").write_text(
        "a { background: url('https://elsewhere.example/b.png') }", encoding="utf-8"
    )
    pages = read(tmp_path)
    assert dead_links(pages, tmp_path) == [
        "page.html -> #gone: no such place on the page",
        "page.html -> other.html: no such file",
        "page.html -> b.png: no such file",
    ]
    assert loaded_from_network(pages, tmp_path) == [
        "page.html loads https://elsewhere.example/a.css",
        "style.css loads https://elsewhere.example/b.png",
    ]
    assert images_without_text(pages, tmp_path) == ["page.html: a.png", "page.html: b.png"]
    assert raw_markup(pages, tmp_path) == ["page.html: '{glue:text}`'"]
    assert machine_paths(tmp_path, "elsewhere.example") == [
        "page.html: /home/someone",
        "page.html: elsewhere.example",
    ]
