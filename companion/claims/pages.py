"""The generated parts of the book's pages: the table of claims, the map of the paper, the failures.

They are written into the folder `generated` beside the staged pages, which include them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from companion.claims import seeds
from companion.claims.ledger import CONDITIONS, Verdict, load_ledger, read
from companion.claims.papermap import Failures, Item, PaperMap
from companion.claims.seeds import Repetition
from companion.claims.verdicts import Finding, Measurement, Runs, deciding, judge_all, load_runs, number
from companion.experiment import recorded
from companion.experiment.notebooks import all_notebooks
from companion.experiment.results import Scalar
from memlib.files import write_text

WORDS = dict(
    zip(
        CONDITIONS,
        ("above", "below", "within", "greater than", "less than", "equal to"),
        strict=True,
    )
)


def write_pages(root: Path, preset: str, build: Path, stage: Path) -> None:
    """Write the generated parts for the runs of a preset into `stage/book/generated`.

    Raises `ValueError` when a run is missing, or when a data file of `root/book` has a fault or names a
    number that no run records.
    """
    book, folder = root / "book", stage / "book" / "generated"
    runs = load_runs(build, preset, (path.stem for path in all_notebooks(root / "notebooks")))
    ledger = load_ledger(book / "claims.yml")
    findings = judge_all(ledger, deciding(ledger, preset, runs))
    repetition = seeds.load()
    write_text(folder / "claims.md", render_claims(findings, judge_all(ledger, runs), repetition))
    write_text(folder / "recorded.md", render_recorded(recorded.load_all(runs), runs))
    write_text(folder / "map.md", render_map(read(book / "map.yml", PaperMap).items))
    write_text(folder / "failures.md", render_failures(read(book / "failures.yml", Failures), runs))


def render_claims(
    findings: Sequence[Finding], quick: Sequence[Finding], repetition: Repetition | None = None
) -> str:
    """How many claims have which verdict, and the table of all.

    Args:
        findings: by the runs that decide.
        quick: by the runs behind the pages of the book, shown where they are others.
        repetition: verdicts under other seeds.
    """
    counts = Counter(finding.verdict for finding in findings)
    summary = ", ".join(f"**{count}** {verdict}" for verdict, count in counts.most_common())
    rows = [
        [
            f"({finding.claim.id})=\n{finding.claim.claim}\n\n*{finding.claim.where}*",
            _said(finding, repetition),
            _evidence(finding, of_pages),
        ]
        for finding, of_pages in zip(findings, quick, strict=True)
    ]
    header = ["the paper says", "verdict", "measured here"]
    return f"Of {len(findings)} claims: {summary}.\n\n" + _list_table(header, rows, (38, 14, 48))


def render_recorded(kept: Runs, runs: Runs) -> str:
    """Each recorded run: where and when, the parameters that differ, and how the book's own run compares.

    Args:
        kept: the recorded runs by chapter.
        runs: the runs behind the pages.
    """
    rows = []
    for name, found in kept.items():
        own = runs[name].parameters
        larger = [f"`{key} = {value!r}`" for key, value in found.parameters.items() if own.get(key) != value]
        same = recorded.agreement(runs[name], found)
        apart = f": {', '.join(f'`{key}`' for key in same.apart)}" if same.apart else ""
        rows.append(
            [
                _chapter(name),
                f"{found.started:%Y-%m-%d}, {found.duration_s / 60:.0f} min\n\n"
                f"{found.hardware}\n\ncommit {found.commit}",
                ", ".join(larger) or "the same",
                f"{len(same.apart)} of {len(same.compared)}{apart}",
            ]
        )
    header = ["chapter", "recorded", "parameters that differ", "numbers apart"]
    return _list_table(header, rows, (16, 24, 30, 30)) if rows else "There are none.\n"


def render_map(items: Iterable[Item]) -> str:
    """The table from items of the paper to chapters, functions and tests."""
    rows = [
        [
            f"**{item.paper}**\n\n{item.shows}",
            _chapter(item.chapter) if item.chapter else "no chapter yet",
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
        rows = [[scalar.about or key, shown(scalar), _chapter(notebook)] for notebook, key, scalar in found]
        table = _list_table(["number", "value", "chapter"], rows, (55, 25, 20)) if rows else ""
        sections.append(f"({failure.id})=\n## {failure.title}\n\n{failure.text.strip()}\n\n{table}")
    return "\n".join(sections)


def shown(scalar: Scalar) -> str:
    """A number with its interval."""
    if scalar.interval is None:
        return f"{scalar.value:.4g}"
    low, high = scalar.interval
    return f"{scalar.value:.4g} [{low:.4g}, {high:.4g}]"


def _evidence(finding: Finding, quick: Finding) -> str:
    claim = finding.claim
    published = f"Published: {claim.published}" if claim.published else ""
    pairs = zip(finding.measurements, quick.measurements, strict=True)
    lines = [_sentence(one) + _beside(one, other) for one, other in pairs] or [
        claim.why.strip(),
        f"To test it: `{claim.command}`",
    ]
    chapter = _chapter(claim.chapter) if claim.chapter else ""
    return "\n\n".join(line for line in (*lines, claim.note.strip(), published, chapter) if line)


def _test_name(test: str) -> str:
    """`tests/file.py::test_that_it_is` as the file and a sentence."""
    file, _, name = test.partition("::")
    return f"`{Path(file).stem}`: {name.removeprefix('test_').replace('_', ' ')}"


def _sentence(measurement: Measurement) -> str:
    mark = {"holds": "✓", "fails": "✗", "undecided": "?"}[measurement.outcome]
    about = measurement.scalar.about or measurement.key
    asked = f"{WORDS[measurement.test.condition]} {_operand(measurement)}"
    return f"{mark} {about}: {shown(measurement.scalar)}. Asked: {asked}.{_undecided(measurement)}"


def _beside(measurement: Measurement, quick: Measurement) -> str:
    """The number of the page's own run, where a recorded one decides; empty where that is the same."""
    if measurement == quick:
        return ""
    return f" *Recorded run; on the page {shown(quick.scalar)}: {quick.outcome}.*"


def _operand(measurement: Measurement) -> str:
    """What the number is compared with, and by which margin."""
    test = measurement.test
    if test.other is None or measurement.other is None:
        low, high = test.range.low, test.range.high
        return f"{low:g} to {high:g}" if test.within else f"{low if test.above is not None else high:g}"
    margin = f" by more than {test.margin:g}" if test.margin else ""
    if test.equals:
        margin = f" to within {test.margin:g}"
    return f"`{test.other.rpartition('::')[2]}`, {shown(measurement.other)}{margin}"


def _undecided(measurement: Measurement) -> str:
    """Why a test decides nothing, and what would; empty if it does."""
    if measurement.outcome != "undecided":
        return ""
    n = measurement.estimate.n
    if measurement.estimate.degenerate:
        return f" Undecided: all {n:,} draws are alike, which leaves no room for a difference."
    if measurement.needed is None:
        return " Undecided."
    return f" Undecided with n = {n:,}; about {measurement.needed:,} would decide if the value stayed."


def _said(finding: Finding, repetition: Repetition | None) -> str:
    disagreement = "" if finding.agrees else f"\n\nThe ledger says: {finding.claim.verdict}"
    found = repetition.verdicts.get(finding.claim.id) if repetition else None
    repeated = f"\n\nSmall runs with other seeds: {counted(found)}" if found else ""
    return f"**{finding.verdict}**{disagreement}{repeated}"


def counted(verdicts: Mapping[Verdict, int]) -> str:
    """Verdicts with how often each was reached, the most frequent first."""
    return ", ".join(f"{count} {verdict}" for verdict, count in Counter(verdicts).most_common())


def _chapter(notebook: str) -> str:
    return f"{{doc}}`../notebooks/{notebook}`"


def _list_table(header: Sequence[str], rows: Iterable[Sequence[str]], widths: Sequence[int]) -> str:
    def block(cells: Sequence[str]) -> str:
        first = [("* - " if not k else "  - ") + cell.replace("\n", "\n    ") for k, cell in enumerate(cells)]
        return "\n".join(first)

    options = f":header-rows: 1\n:widths: {' '.join(map(str, widths))}\n:class: findings\n"
    body = "\n".join(map(block, [header, *rows]))
    return f"````{{list-table}}\n{options}\n{body}\n````\n"
