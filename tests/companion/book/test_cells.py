"""What a cell records is read from its code."""

import pytest

from companion.book.cells import recorded


@pytest.mark.parametrize(
    ("code", "figures", "tables"),
    [
        ('run.figure(plots.grid("x", 4), "samples", about="x")', ["samples"], []),
        ('run.figure(f, "paths", opening=True)', ["paths"], []),
        ('run.animation(a, "landscape")', ["landscape"], []),
        ('run.table(t, "all")\ntables.tabulate(run, "few", rows)', [], ["all", "few"]),
        ('run.table(t, f"made_{name}")', [], []),
        ('other.figure(f, "paths")', [], []),
    ],
)
def test_names_are_those_of_the_calls(code, figures, tables):
    found = recorded(code)
    assert (found.figures, found.finishes) == (figures, False)
    assert found.tables == tables


def test_the_end_of_a_run_is_seen():
    assert recorded("provenance = run.finish()\nprovenance").finishes
