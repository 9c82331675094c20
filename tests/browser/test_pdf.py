"""The book on paper: whole, opened, nothing cut, and nothing of the machine that printed it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import Browser, Page

from companion import pdf

pytestmark = pytest.mark.browser

PAPER = {"width": 688, "height": 1000}
"""Pixels of a sheet of A4 between its margins, 14 mm at each side."""

WIDE = """() => [...document.querySelectorAll("article :is(table, pre, figure, img, svg, div.math)")]
    .filter(e => e.checkVisibility() && !e.closest("mjx-container"))
    .filter(e => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1
        || e.scrollWidth > e.clientWidth + 2 && getComputedStyle(e).overflowX !== "visible")
    .map(e => e.outerHTML.slice(0, 120))"""
BROKEN = """() => [...document.images]
    .filter(e => e.checkVisibility() && !e.naturalWidth)
    .map(e => e.src.slice(-80))"""
HIDDEN = """() => [...document.querySelectorAll("article details")].filter(
    e => !e.open || [...e.children].some(part => !part.matches("summary") && !part.checkVisibility())
).map(e => e.outerHTML.slice(0, 120))"""
FORMULAS = """() => [
    document.querySelectorAll("article .math").length,
    document.querySelectorAll("article mjx-container").length,
    document.querySelectorAll("mjx-merror, [data-mjx-error]").length,
]"""
IDS = """() => {
    const every = [...document.querySelectorAll("article [id]")].map(e => e.id);
    const ids = every.filter(id => !id.startsWith("MJX"));
    const lost = [...document.querySelectorAll("article a[href^='#']")]
        .filter(e => !document.getElementById(decodeURIComponent(e.getAttribute("href").slice(1))));
    return [ids.length - new Set(ids).size, lost.map(e => e.outerHTML.slice(0, 120))];
}"""


@pytest.fixture(scope="module")
def names(project: Path) -> list[str]:
    return list(pdf.entries(yaml.safe_load((project / "_toc.yml").read_text(encoding="utf-8"))))


@pytest.fixture(scope="module")
def page(browser: Browser, book: Path, names: list[str]) -> Iterator[Page]:
    """The one page as it is printed."""
    folder = book / ".test-of-print"
    folder.mkdir(exist_ok=True)
    file = folder / "book.html"
    file.write_text(pdf.single_page(book, names), encoding="utf-8")
    page = browser.new_page(viewport=PAPER, color_scheme="light")
    page.set_default_timeout(pdf.TIMEOUT)
    try:
        page.goto(file.as_uri())
        page.emulate_media(media="print")
        page.evaluate(pdf.READY)
        yield page
    finally:
        page.close()
        file.unlink()
        folder.rmdir()


def test_nothing_is_cut_folded_or_lost(page: Page, names: list[str]) -> None:
    assert page.locator("article > section").count() == len(names)
    assert page.evaluate(WIDE) == []
    assert page.evaluate(BROKEN) == []
    assert page.locator("article details").count() > 10
    assert page.evaluate(HIDDEN) == []
    written, drawn, wrong = page.evaluate(FORMULAS)
    assert (drawn >= written > 100, wrong) == (True, 0)
    doubled, lost = page.evaluate(IDS)
    assert (doubled, lost) == (0, [])


def test_links_to_files_beside_the_book_are_text(page: Page) -> None:
    """In a PDF they would name a folder of the machine that printed it."""
    kinds = page.evaluate(
        "[...document.querySelectorAll('article a[href]')].map(e => e.getAttribute('href').split(/[#:]/)[0])"
    )
    assert set(kinds) <= {"", "http", "https", "mailto"}


def test_the_file_has_all_pages(book: Path, project: Path, names: list[str], tmp_path: Path) -> None:
    # A process of its own: the tests' browser holds the one event loop that there may be.
    write = "import sys, pathlib; from companion import pdf; pdf.write(*map(pathlib.Path, sys.argv[1:]))"
    file = tmp_path / "book.pdf"
    subprocess.run([sys.executable, "-c", write, book, project / "_toc.yml", file], check=True)
    content = file.read_bytes()
    assert content.startswith(b"%PDF-")
    assert len(re.findall(rb"/Type\s*/Page\b", content)) > 2 * len(names)
    assert b"file:///" not in content
    assert len(content) < 60_000_000
    assert list(tmp_path.iterdir()) == [tmp_path / "book.pdf"]


def test_a_page_that_is_missing_is_named(book: Path, names: list[str]) -> None:
    with pytest.raises(ValueError, match="lacks book/nowhere; make the book first"):
        pdf.single_page(book, [*names, "book/nowhere"])
