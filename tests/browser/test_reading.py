"""The built book as a reader has it: from the file system, without a network, light, dark, on a phone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urljoin

import pytest
import yaml
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from companion import pdf

pytestmark = pytest.mark.browser

VIEWS = {
    "light": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light", "has_touch": True},
}
# Faults in HTML that is not ours, by the rule and what it is about.
KNOWN_FAULTS = {
    "label-content-name-mismatch": "",  # the theme's buttons: their label leaves out the visible text
    "region": "",  # the theme's logo lies outside a landmark
    "empty-table-header": "<th></th>",  # the corner of a pandas table; Markdown gives another HTML
}
# Rules that can tell a dark page from a light one: their HTML is the same.
COLOURS = ["color-contrast", "link-in-text-block"]
FILES = "article a[download]"

FORMULAS = """async () => {
    if (window.MathJax?.startup?.promise) await MathJax.startup.promise;
    const article = document.querySelector("main");
    return {
        written: article.querySelectorAll(".math").length,
        drawn: article.querySelectorAll("mjx-container").length,
        errors: article.querySelectorAll("mjx-merror, [data-mjx-error]").length,
        raw: [...article.querySelectorAll(".math")].filter(e => /\\\\[(\\[]|\\$/.test(e.innerText)).length,
    };
}"""
PICTURES = """async () => {
    const pictures = [...document.images];
    pictures.forEach(picture => picture.loading = "eager");
    await Promise.allSettled(pictures.map(picture => picture.decode()));
    return pictures.filter(p => !p.naturalWidth || !p.alt.trim()).map(p => p.src.slice(-80));
}"""

# What is wider than its box, and shows no shadow at the edge that hides more.
CUT = """() => [...document.querySelectorAll("article *")].filter(e => {
    const style = getComputedStyle(e);
    return e.clientWidth && e.scrollWidth > e.clientWidth + 2 && style.overflowX !== "visible"
        && !e.closest("mjx-container, .math") && !style.backgroundImage.includes("gradient");
}).map(e => e.outerHTML.slice(0, 100))"""
FOLDED = """() => [...document.querySelectorAll("article details:not([open])")].filter(
    e => [...e.children].every(part => part.matches("summary") || !part.checkVisibility())
).map(e => e.outerHTML.slice(0, 100))"""

HAS_THEME = "theme => document.documentElement.dataset.theme === theme"


@dataclass
class Watch:
    """What the browser reported while a page was open."""

    page: Page
    outside: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("request", lambda request: self._request(request.url))
        self.page.on("requestfailed", lambda request: self.faults.append(f"not loaded: {request.url}"))
        self.page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        self.page.on(
            "console", lambda m: self.faults.append(m.text) if m.type in {"error", "warning"} else None
        )

    def _request(self, url: str) -> None:
        if not url.startswith(("file:", "data:", "blob:")):
            self.outside.append(url)


@contextmanager
def reading(browser: Browser, view: str, *, offline: bool = True) -> Iterator[Watch]:
    context = browser.new_context(offline=offline, accept_downloads=True, **VIEWS[view])
    try:
        yield Watch(context.new_page())
    finally:
        context.close()


def names(project: Path) -> list[str]:
    return list(pdf.entries(yaml.safe_load((project / "_toc.yml").read_text(encoding="utf-8"))))


@pytest.fixture(scope="session")
def chapters(project: Path) -> list[str]:
    return [name for name in names(project) if name.startswith("notebooks/")]


PAGES = [*names(Path(__file__).parents[2]), "search"]
# Pages of the reference come from one template: rules of HTML and colours are asked of the two longest.
OF_A_KIND = {name for name in PAGES if name.startswith("book/api/")} - {"book/api/hessian", "book/api/audit"}
# By night are asked the pages with elements of their own, and one or two of each other kind.
BY_NIGHT = {name for name in PAGES if name.startswith("notebooks/")} | {
    "book/intro", "book/results", "book/map", "book/failures", "book/rerun", "book/guide/audit",
    "book/api/hessian", "search",
}  # fmt: skip
assert {*PAGES} >= BY_NIGHT


@pytest.mark.parametrize("name", PAGES)
def test_a_page_reads_well(browser: Browser, book: Path, name: str) -> None:
    """By day, then by night, then on a phone: opened once, as night and width are matters of style sheets."""
    with reading(browser, "light") as watch:
        page = watch.page
        page.goto((book / f"{name}.html").as_uri())
        for view, options in (("light", {}), ("dark", {"runOnly": COLOURS}), ("phone", None)):
            page.emulate_media(color_scheme=VIEWS[view]["color_scheme"])
            page.set_viewport_size(VIEWS[view]["viewport"])
            page.wait_for_function(HAS_THEME, arg=VIEWS[view]["color_scheme"])  # it hears of a change later
            formulas = page.evaluate(FORMULAS)
            assert formulas["drawn"] >= formulas["written"]
            assert formulas["errors"] == formulas["raw"] == 0
            assert view != "light" or page.evaluate(PICTURES) == []  # the others show the same
            assert page.evaluate("document.documentElement.scrollWidth") <= VIEWS[view]["viewport"]["width"]
            assert page.evaluate(CUT) == []
            # The phone shows the HTML of the wide screen in its colours.
            if options is not None and name not in OF_A_KIND and (view != "dark" or name in BY_NIGHT):
                assert violations(page, **options) == []
        page.emulate_media(media="print")
        assert page.evaluate(FOLDED) == []
        assert watch.outside == watch.faults == []


# A colour that is still fading into that of the dark page has another contrast. What is folded away never
# comes to its end.
SETTLED = """() => Promise.allSettled(
    document.getAnimations()
        .filter(a => a.effect.getTiming().iterations !== Infinity && a.effect.target.checkVisibility())
        .map(a => a.finished)
).then(() => null)"""


def violations(page: Page, **options: object) -> list[str]:
    """Accessibility faults that axe finds. Without preload: it would fetch the style sheets again."""
    page.evaluate(SETTLED)
    options |= {"preload": False, "resultTypes": ["violations"]}
    found = Axe().run(page, options=options).response["violations"]
    nodes = [(fault["id"], node["html"]) for fault in found for node in fault["nodes"]]
    return [
        f"{rule}: {html[:150]}"
        for rule, html in nodes
        if not (rule in KNOWN_FAULTS and html.startswith(KNOWN_FAULTS[rule]))
    ]


def test_the_front_door_opens_the_landing_page(browser: Browser, book: Path) -> None:
    with reading(browser, "light") as watch:
        watch.page.goto((book / "index.html").as_uri())
        watch.page.wait_for_url("**/book/intro.html")
        assert watch.outside == watch.faults == []


@pytest.mark.parametrize(("view", "scheme"), [("light", "light"), ("dark", "dark"), ("phone", "light")])
def test_the_page_follows_the_reader_s_colours(browser: Browser, book: Path, view: str, scheme: str) -> None:
    with reading(browser, view) as watch:
        watch.page.goto((book / "book/intro.html").as_uri())
        assert watch.page.evaluate("document.documentElement.dataset.theme") == scheme
        red, green, blue = watch.page.evaluate(
            "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number)"
        )
        assert (min(red, green, blue) > 200) if scheme == "light" else (max(red, green, blue) < 60)
        assert watch.outside == watch.faults == []


def test_colours_can_be_switched_by_hand(browser: Browser, book: Path) -> None:
    with reading(browser, "light") as watch:
        watch.page.goto((book / "book/intro.html").as_uri())
        button = watch.page.locator("button.theme-switch-button:visible").first
        seen = set()
        for _ in range(3):
            button.click()
            seen.add(watch.page.evaluate("document.documentElement.dataset.theme"))
        assert seen == {"light", "dark"}


@pytest.mark.parametrize("view", ["light", "phone"])
def test_search_works_without_a_server(browser: Browser, book: Path, view: str) -> None:
    with reading(browser, view) as watch:
        page = watch.page
        page.goto((book / "book/intro.html").as_uri())
        page.keyboard.press("Control+k")
        page.keyboard.type("eigenvalue")
        page.keyboard.press("Enter")
        page.wait_for_url("**/search.html?q=eigenvalue*")
        hits = page.locator("ul.search li a")
        expect(hits.filter(has_text="Notation").first).to_be_visible()
        hits.filter(has_text="Notation").first.click()
        page.wait_for_url("**/book/notation.html*")
        expect(page.locator("article h1")).to_contain_text("Notation")
        assert watch.outside == watch.faults == []


def test_search_admits_when_it_finds_nothing(browser: Browser, book: Path) -> None:
    with reading(browser, "light") as watch:
        watch.page.goto((book / "search.html").as_uri() + "?q=zyzzyva")
        expect(watch.page.locator("#search-results")).to_contain_text("did not match any documents")
        expect(watch.page.locator("ul.search li")).to_have_count(0)


def test_links_to_files_open_or_download_them(browser: Browser, book: Path, chapters: list[str]) -> None:
    """From the file system a browser shows what it can, pictures and JSON, and downloads the rest."""
    with reading(browser, "light") as watch:
        arrived: list[str] = []
        watch.page.on("download", lambda download: arrived.append(download.url))
        watch.page.on("framenavigated", lambda frame: arrived.append(frame.url))
        chapter = (book / f"{chapters[0]}.html").as_uri()
        watch.page.route("**/mathjax/**", lambda route: route.abort())  # formulas take the longest
        watch.page.goto(chapter)
        links = [str(link.get_attribute("href")) for link in watch.page.locator(FILES).all()]
        for link in {Path(link).suffix: link for link in links}.values():  # one of each kind
            watch.page.goto(chapter)
            arrived.clear()
            watch.page.locator(f'article a[href="{link}"]').first.click()
            watch.page.wait_for_timeout(300)
            assert arrived == [urljoin(chapter, link)]


def test_a_served_chapter_gives_away_the_files_and_the_notebook_of_its_run(
    browser: Browser, book: Path, served: str, chapters: list[str]
) -> None:
    """By the links below its figures and by its menu. That every page's links lead to files, a test of the
    HTML sees. Formulas, which take the longest, are left out.
    """
    with reading(browser, "light", offline=False) as watch:
        watch.page.route("**/mathjax/**", lambda route: route.abort())
        watch.page.goto(f"{served}/{chapters[0]}.html")
        links = watch.page.locator(FILES).all()
        files = [book / "notebooks" / str(link.get_attribute("href")) for link in links]
        assert {file.suffix for file in files} >= {".ipynb", ".json", ".png"}
        assert {file.suffix for file in files} & {".csv", ".npz"}
        with watch.page.expect_download() as download:
            links[0].click()
        assert Path(download.value.path()).read_bytes() == files[0].read_bytes()
        for link, file in zip(links, files, strict=True):
            address = urljoin(watch.page.url, str(link.get_attribute("href")))
            assert watch.page.request.get(address).body() == file.read_bytes()
        watch.page.locator(".dropdown-download-buttons > button").click()
        with watch.page.expect_download() as download:
            watch.page.locator(".btn-download-source-button").click()
        notebook = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
        code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code" and cell["source"]]
        assert all(cell["execution_count"] for cell in code)
        assert any(cell["outputs"] for cell in code)
        assert [url for url in watch.outside if not url.startswith(served)] == []
