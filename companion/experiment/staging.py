"""The source folder of the book (pages, executed notebooks and assets), and a check of what came out.

Jupyter Book reads one folder. It is put together anew each time and swapped in whole::

    build/stage/book/            prose pages, bibliography
    build/stage/notebooks/       one executed notebook per chapter
    build/stage/assets/          static files, and of each run its results, figures and tables
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from companion.experiment import recorded, results
from companion.experiment.notebooks import all_notebooks
from companion.experiment.runs import MESSAGE, NOTEBOOK, Place

PUBLISHED = (results.FILE, "figures", "tables")
"""What of a run readers can download."""

RECORDED = "recorded.json"
"""The recorded run of the chapter, beside them."""

INCLUDED = ("CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "LICENSE")
"""Files of the repository that pages of the book include."""


def stage(root: Path, preset: str, build: Path, generate: Callable[[Path], None] | None = None) -> Path:
    """Put together the source of the book from `root` and the runs of `preset`; return its folder.

    `generate` adds to the new folder what is made from the runs, before the folder is swapped in.

    Raises `ValueError` for a notebook without a good run; a failed one is quoted with where its output is.
    """
    chapters = [Place(build, path.stem, preset) for path in all_notebooks(root / "notebooks")]
    faults = [fault for place in chapters if (fault := _fault(place))]
    if faults:
        raise ValueError("no book without a good run of every notebook:\n" + "\n".join(faults))
    fresh, final = build / ".stage", build / "stage"
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(root / "book", fresh / "book", ignore=shutil.ignore_patterns("assets"))
    shutil.copytree(root / "book" / "assets", fresh / "assets")
    for name in INCLUDED:
        shutil.copy2(root / name, fresh)
    (fresh / "notebooks").mkdir()
    for place in chapters:
        _publish(place, fresh)
    if generate is not None:
        generate(fresh)
    shutil.rmtree(final, ignore_errors=True)
    fresh.rename(final)
    return final


def _fault(place: Place) -> str | None:
    message = place.failed / MESSAGE
    if message.is_file():
        return message.read_text(encoding="utf-8").strip()
    try:
        found = results.load(place.final)
    except ValueError as error:
        return f"{place.notebook}: {error}"
    if not (place.final / NOTEBOOK).is_file():
        return f"{place.notebook}: {place.final / NOTEBOOK} is not there; run the notebook again"
    if (found.notebook, found.run) != (place.notebook, place.run):
        return f"{place.final} holds run {found.run} of {found.notebook}; run the notebook again"
    if found.broken:
        return f"{place.notebook} (run {place.run}) does not hold: {'; '.join(found.broken)}; run it again"
    return None


def _publish(place: Place, stage: Path) -> None:
    shutil.copy2(place.final / NOTEBOOK, stage / "notebooks" / f"{place.notebook}.ipynb")
    downloads = stage / "assets" / "runs" / place.notebook
    downloads.mkdir(parents=True)
    for name in PUBLISHED:
        source = place.final / name
        if source.is_dir():
            shutil.copytree(source, downloads / name)
        elif source.exists():
            shutil.copy2(source, downloads)
    if (kept := recorded.folder() / f"{place.notebook}.json").is_file():
        shutil.copy2(kept, downloads / RECORDED)


def check_book(html: Path, stage: Path) -> None:
    """Make sure that a built book has its start page and, for every staged notebook, a page with outputs.

    Raises `ValueError` naming the pages that are missing or empty.
    """
    pages = [
        html / "notebooks" / f"{notebook.stem}.html" for notebook in sorted(stage.glob("notebooks/*.ipynb"))
    ]
    faults = [f"{page} is missing" for page in [html / "index.html", *pages] if not page.is_file()]
    faults += [
        f"{page} shows no output"
        for page in pages
        if page.is_file() and 'class="cell_output' not in page.read_text(encoding="utf-8")
    ]
    if faults:
        raise ValueError("the book is not complete: " + "; ".join(faults))
