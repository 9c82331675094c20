"""The generated parts of the book's pages: the ledger, the recorded runs, the map of the paper, the failures.

They are written into the folder `generated` beside the staged pages, which include them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from companion.claims import seeds, table
from companion.claims.ledger import load_ledger, read
from companion.claims.papermap import Failures, Item, PaperMap
from companion.claims.table import chapter_link, shown
from companion.claims.verdicts import Runs, deciding, judge_all, load_runs, number
from companion.experiment import recorded, side_by_side
from companion.experiment.notebooks import all_notebooks
from memlib.files import write_text

EXAMPLE = "04_mnist"
"""The chapter whose runs the page *Rerun it* sets side by side."""


def write_pages(root: Path, preset: str, build: Path, stage: Path) -> None:
    """Write the generated parts for the runs of a preset into `stage/book/generated`.

    Raises `ValueError` when a run is missing, or when a data file of `root/book` has a fault or names a
    number that no run records.
    """
    book, folder = root / "book", stage / "book" / "generated"
    runs = load_runs(build, preset, (path.stem for path in all_notebooks(root / "notebooks")))
    ledger = load_ledger(book / "claims.yml")
    findings = judge_all(ledger, deciding(ledger, preset, runs))
    write_text(folder / "claims.md", table.render(ledger, findings, judge_all(ledger, runs), seeds.load()))
    write_text(folder / "recorded.md", render_recorded(recorded.load_all(runs), runs))
    write_text(folder / "map.md", render_map(read(book / "map.yml", PaperMap).items))
    write_text(folder / "side_by_side.md", render_side_by_side(recorded.load_all(runs), runs))
    write_text(folder / "failures.md", render_failures(read(book / "failures.yml", Failures), runs))


def render_recorded(kept: Runs, runs: Runs) -> str:
    """Each recorded run: where and when, the parameters that differ, and how the book's own run compares.

    Args:
        kept: the recorded runs by chapter.
        runs: the runs behind the pages.
    """
    entries = []
    for name, found in kept.items():
        own = runs[name].parameters
        larger = [f"`{key} = {value!r}`" for key, value in found.parameters.items() if own.get(key) != value]
        same = recorded.agreement(runs[name], found)
        apart = f"{len(same.apart)} of {len(same.compared)}"
        took = f"{found.started:%Y-%m-%d}, {found.duration_s / 60:.0f} min"
        facts = [
            f"{chapter_link(name)}, on {found.hardware}, commit {found.commit}",
            f"Parameters that differ: {', '.join(larger) or 'none'}",
            f"Numbers apart: {apart}{''.join(f', `{key}`' for key in same.apart)}",
        ]
        title = f"`{name}` · {took} · numbers apart: {apart}"
        body = "\n".join(f"- {fact}" for fact in facts)
        entries.append(f"::::{{dropdown}} {title}\n:class-container: entry\n\n{body}\n::::\n")
    return "\n".join(entries) or "There are none.\n"


def render_side_by_side(kept: Runs, runs: Runs, chapter: str = EXAMPLE) -> str:
    """The command that sets two runs of a chapter side by side, and what it prints.

    Args:
        kept: the recorded runs by chapter.
        runs: the runs behind the pages.
        chapter: which chapter's runs are shown.
    """
    shown = [found[chapter] for found in (runs, kept) if chapter in found]
    given = " ".join(f"--name {run.run}" for run in shown)
    command = f"companion results {chapter} --table {given}"
    return f"```console\n$ {command}\n{side_by_side.text(shown)}\n```\n" if shown else ""


def render_map(items: Iterable[Item]) -> str:
    """The table from items of the paper to chapters, functions and tests."""
    rows = [
        [
            f"**{item.paper}**\n\n{item.shows}",
            chapter_link(item.chapter) if item.chapter else "no chapter yet",
            "\n\n".join(f"`{name.removeprefix('memlib.')}`" for name in item.functions) or "–",
            "\n\n".join(map(_test_name, item.tests)) or "–",
        ]
        for item in items
    ]
    return _list_table(["in the paper", "chapter", "function", "test"], rows, (26, 18, 28, 28))


def render_failures(failures: Failures, runs: Runs) -> str:
    """A section for each way in which the signal fails, with its numbers."""
    sections = []
    for failure in failures.failures:
        found = [number(reference, "", runs) for reference in failure.measured]
        rows = [
            [scalar.about or key, shown(scalar), chapter_link(notebook)] for notebook, key, scalar in found
        ]
        numbers = _list_table(["number", "value", "chapter"], rows, (55, 25, 20)) if rows else ""
        sections.append(f"({failure.id})=\n## {failure.title}\n\n{failure.text.strip()}\n\n{numbers}")
    return "\n".join(sections)


def _test_name(test: str) -> str:
    """`tests/file.py::test_that_it_is` as the file and a sentence."""
    file, _, name = test.partition("::")
    return f"`{Path(file).stem}`: {name.removeprefix('test_').replace('_', ' ')}"


def _list_table(header: Sequence[str], rows: Iterable[Sequence[str]], widths: Sequence[int]) -> str:
    def block(cells: Sequence[str]) -> str:
        first = [("* - " if not k else "  - ") + cell.replace("\n", "\n    ") for k, cell in enumerate(cells)]
        return "\n".join(first)

    options = f":header-rows: 1\n:widths: {' '.join(map(str, widths))}\n:class: findings\n"
    body = "\n".join(map(block, [header, *rows]))
    return f"````{{list-table}}\n{options}\n{body}\n````\n"
