"""What a cell records is read from its code."""

import pytest

from companion.book.cells import recorded


@pytest.mark.parametrize(
    ("code", "figures", "tables", "opening"),
    [
        ('run.figure(plots.grid("x", 4), "samples", about="x")', ["samples"], [], None),
        ('run.figure(f, "paths", opening=True)', ["paths"], [], "paths"),
        ('run.figure(f, "paths", opening=False)', ["paths"], [], None),
        ('run.animation(a, "landscape")', ["landscape"], [], None),
        ('run.table(t, "all")\ntables.tabulate(run, "few", rows)', [], ["all", "few"], None),
        ('run.table(t, f"made_{name}")', [], [], None),
        ('other.figure(f, "paths")', [], [], None),
    ],
)
def test_names_are_those_of_the_calls(code, figures, tables, opening):
    found = recorded(code)
    assert (found.figures, found.opening, found.finishes) == (figures, opening, False)
    assert found.tables == tables


def test_the_end_of_a_run_is_seen():
    assert recorded("provenance = run.finish()\nprovenance").finishes
