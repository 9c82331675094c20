"""A page quotes a number with its interval, and the time of a run, by one role each."""

from datetime import UTC, datetime

import pytest

from companion import roles
from companion.experiment import recorded
from companion.experiment.results import Results, Scalar, write

sphinx = pytest.importorskip("sphinx.application")
pytest.importorskip("myst_nb")

SCALARS = {
    "auc": Scalar(value=0.98765, interval=[0.9, 1.0], level=0.95, n=9),
    "all": Scalar(value=0.0, interval=[0.0, 0.0], level=0.95, n=8),
    "count": Scalar(value=8),
}


def results(notebook, scalars=SCALARS, seconds=57.2):
    return Results(
        notebook=notebook,
        run="quick",
        preset="quick",
        parameters={},
        scalars=scalars,
        figures={},
        tables={},
        checks={},
        seed=0,
        device="cpu",
        hardware="x86_64 CPU, 1 thread",
        versions={},
        commit="unknown",
        dirty=None,
        started=datetime(2026, 1, 1, tzinfo=UTC),
        duration_s=seconds,
    )


def build(folder, prose, run=None):
    """Text of the page and of another one that quotes it, and the warnings."""
    source = folder / "source"
    staged = source / roles.RUNS / "index"
    staged.mkdir(parents=True)
    write(run or results("index"), staged)
    (source / "index.md").write_text(f"# Title\n\n{prose}\n")
    (source / "other.md").write_text(
        "---\norphan: true\n---\n# Other\n\nSee {interval}`index.ipynb::auc:.1f`, {took}`index::run`.\n"
    )
    said = folder / "warnings"
    options = {"extensions": ["myst_nb", "companion.roles"], "nb_execution_mode": "off"}
    with said.open("w") as warnings:
        app = sphinx.Sphinx(
            source, None, folder / "out", folder / "trees", "text", options, status=None, warning=warnings
        )
        app.build()
    pages = [" ".join((folder / "out" / f"{name}.txt").read_text().split()) for name in ("index", "other")]
    # A second Sphinx in one process finds the roles of the first.
    lines = [line for line in said.read_text().splitlines() if "already registered" not in line]
    return *pages, "\n".join(lines)


def test_a_number_is_quoted_with_its_bounds_on_its_page_and_on_others(tmp_path):
    page, other, warnings = build(tmp_path, "It is {interval}`auc:.2f`, or {interval}`auc:.0%`.")
    assert "It is 0.99 (0.90 to 1.00), or 99% (90% to 100%)." in page
    assert "See 1.0 (0.9 to 1.0), 57 seconds (x86_64 CPU, 1 thread)." in other
    assert warnings == ""


def test_the_number_of_draws_stands_beside_the_bounds_and_no_width_is_no_interval(tmp_path):
    page, _, warnings = build(tmp_path, "It is {interval}`auc:.2f n`, and {interval}`all:.0f n`.")
    assert "It is 0.99 (0.90 to 1.00; n = 9), and 0 (n = 8)." in page
    assert warnings == ""


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ("{interval}`missing:.2f`", "no missing in the run of index"),
        ("{interval}`count:.2f n`", "count of index has no n"),
        ("{recorded}`absent:.2f`", "no absent in the recorded run of index"),
        ("{recorded}`other::auc:.2f`", "no auc in the recorded run of other"),
        ("{took}`recorded`", "has no 'recorded' whose time could be told"),
        ("{took}`yesterday`", "say `run` or `recorded`"),
    ],
)
def test_what_cannot_be_told_is_an_error(tmp_path, monkeypatch, said, complaint):
    monkeypatch.setattr(recorded, "load", {}.get)
    _, _, warnings = build(tmp_path, f"It is {said}.")
    assert complaint in warnings


def test_a_number_of_the_recorded_run_is_quoted_with_its_bounds(tmp_path, monkeypatch):
    monkeypatch.setattr(recorded, "load", {"index": results("index", seconds=5400.0)}.get)
    said = "It is {recorded}`auc:.2f`, and {recorded}`index::count:.0f`, after {took}`recorded`."
    page, _, warnings = build(tmp_path, said)
    assert "It is 0.99 (0.90 to 1.00), and 8, after 1.5 hours (x86_64 CPU, 1 thread)." in page
    assert warnings == ""


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(26.7, "27 seconds"), (131, "2 minutes"), (2785, "46 minutes"), (7200, "2.0 hours")],
)
def test_times_are_told_as_a_reader_would(seconds, words):
    assert roles.duration(seconds) == words
