"""The built book as one PDF: its pages one after another, printed by Chromium."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import yaml
from bs4 import BeautifulSoup, Tag
from playwright.sync_api import sync_playwright

from memlib.files import whole

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
LAYOUT = """
@page { size: A4; margin: 16mm 14mm; }
html { font-size: 62.5%; }
body { padding: 0 !important; background: white; }
.bd-article { padding: 0 !important; }
.bd-article > section { break-before: page; }
.bd-main .bd-content .bd-article h1:first-of-type { display: block; }
.bd-article :is(.headerlink, .copybtn, details.hide > summary) { display: none !important; }
.bd-article :is(pre, code, .sources) { overflow-wrap: anywhere; }
.bd-article table { width: 100%; font-size: 0.8em; overflow-wrap: break-word; }
"""
"""On paper each page of the book begins a new sheet, and wide tables wrap."""

FOOTER = (
    '<div style="width: 100%; font-size: 8px; text-align: center">'
    '<span class="pageNumber"></span> / <span class="totalPages"></span></div>'
)
READY = """async () => {
    for (const picture of document.images) picture.loading = "eager";
    await Promise.allSettled([...document.images].map(picture => picture.decode()));
    await MathJax.startup.promise;
    await document.fonts.ready;
}"""
TIMEOUT = 600_000
"""Milliseconds for the formulas of a whole book on a busy machine."""


def chromium(own: str) -> str | None:
    """The executable of a browser: one on the path, else `own`, if that is there."""
    found = (shutil.which(name) for name in NAMES)
    return next(filter(None, found), own if Path(own).is_file() else None)


def arguments() -> list[str]:
    """Options with which it starts: no request of its own; the superuser has no sandbox."""
    return ["--disable-background-networking", *(["--no-sandbox"] if os.geteuid() == 0 else [])]


def entries(toc: object) -> Iterator[str]:
    """The pages of a table of contents, in order, as read from `_toc.yml`."""
    if isinstance(toc, Mapping):
        yield from (str(toc[key]) for key in ("root", "file") if key in toc)
        yield from (name for value in toc.values() for name in entries(value))
    elif isinstance(toc, list):
        yield from (name for value in toc for name in entries(value))


def write(html: Path, toc: Path, path: Path) -> Path:
    """Print the book whose pages are in `html` into `path`, which appears whole; return it.

    Args:
        html: the folder of the built book.
        toc: its table of contents, `_toc.yml`.
        path: the PDF.

    Raises:
        ValueError: a page is missing, or there is no Chromium.
    """
    names = list(entries(yaml.safe_load(toc.read_text(encoding="utf-8"))))
    with sync_playwright() as playwright, tempfile.TemporaryDirectory(dir=html) as folder:
        executable = chromium(playwright.chromium.executable_path)
        if executable is None:
            raise ValueError("no Chromium found; `apt-get install chromium` or `playwright install chromium`")
        one = Path(folder) / "book.html"
        one.write_text(single_page(html, names), encoding="utf-8")
        with (
            playwright.chromium.launch(executable_path=executable, args=arguments()) as browser,
            whole(path) as temporary,
        ):
            page = browser.new_page(color_scheme="light")
            page.set_default_timeout(TIMEOUT)
            page.goto(one.as_uri())
            page.evaluate(READY)
            page.pdf(
                path=temporary,
                prefer_css_page_size=True,
                print_background=True,
                display_header_footer=True,
                header_template="<span></span>",
                footer_template=FOOTER,
                outline=True,
                tagged=True,
            )
    return path


def single_page(html: Path, names: Sequence[str]) -> str:
    """The pages of a built book as one, to stand in a folder of `html`: what is folded is opened.

    Links lead within it or to the network; what leads to files beside the book becomes text.

    Args:
        html: the folder of the built book.
        names: the pages in their order, without `.html`.

    Raises:
        ValueError: a page is missing.
    """
    absent = [name for name in names if not (html / f"{name}.html").is_file()]
    if absent:
        raise ValueError(f"{html} lacks {', '.join(absent)}; make the book first: make book")
    first = BeautifulSoup((html / f"{names[0]}.html").read_text(encoding="utf-8"), "html.parser")
    articles = [_article(html, name, set(names)) for name in names]
    body = "\n".join(map(str, articles))
    return (
        '<!DOCTYPE html>\n<html lang="en" data-theme="light" data-mode="light"><head><meta charset="utf-8">'
        f"<title>{first.title.string if first.title else ''}</title>\n{_head(first, names[0])}"
        f'<style media="print">{LAYOUT}</style></head>\n<body><main class="bd-main"><div class="bd-content">'
        '<div class="bd-article-container"><article class="bd-article">\n'
        f"{body}\n</article></div></div></main></body></html>\n"
    )


def _head(page: BeautifulSoup, name: str) -> str:
    """Style sheets of a page, and what sets formulas."""
    styles = page.find_all("link", rel="stylesheet")
    scripts = [script for script in page.find_all("script") if "mathjax" in str(script).lower()]
    for tag in (*styles, *scripts):
        for key in ("href", "src"):
            if tag.get(key):
                tag[key] = _from_inside(name, str(tag[key]))
    return "\n".join(map(str, (*styles, *scripts)))


def _article(html: Path, name: str, names: set[str]) -> Tag:
    """The text of a page, whose ids and addresses are those of the one page."""
    page = BeautifulSoup((html / f"{name}.html").read_text(encoding="utf-8"), "html.parser")
    article = page.find("article")
    if not isinstance(article, Tag):
        raise ValueError(f"{html / name}.html has no article; make the book anew")
    for tag in article.find_all(["script", "button", "input", "select"]):
        tag.decompose()
    article.name, article["id"] = "section", _anchor(name, "")
    for tag in article.find_all(True):
        _settle(tag, name, names)
    return article


def _settle(tag: Tag, name: str, names: set[str]) -> None:
    if tag.get("id"):
        tag["id"] = _anchor(name, str(tag["id"]))
    if tag.get("src"):
        tag["src"] = _from_inside(name, str(tag["src"]))
    if tag.name == "details":
        tag["open"] = ""
    if tag.get("href") and not urlsplit(str(tag["href"])).scheme:
        place = urlsplit(_from_inside(name, str(tag["href"])))
        target = place.path.removeprefix("../").removesuffix(".html") if place.path else name
        if target in names:
            tag["href"] = f"#{_anchor(target, place.fragment)}"
        else:
            del tag["href"]


def _anchor(name: str, fragment: str) -> str:
    return f"{name.replace('/', '-')}--{fragment}"


def _from_inside(name: str, address: str) -> str:
    """An address on the page `name`, seen from a file in another folder of the book."""
    parts = urlsplit(address)
    if parts.scheme or not parts.path:
        return address
    path = os.path.normpath(PurePosixPath("..", name).parent / parts.path)
    return parts._replace(path=path).geturl()
