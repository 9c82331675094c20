"""Named values keep their intervals: in the file, on the page and in the results."""

import numpy as np
import pandas as pd
import pytest

from companion import tables
from companion.experiment import results
from memlib.intervals import Interval

HALF = Interval(0.5, 0.25, 0.75, level=0.95, n=4)
ROWS = [{"kind": "copied", "N": 2048, "share": HALF}, {"kind": "other", "N": None, "share": None}]


@pytest.fixture
def run(tmp_path):
    from companion import experiment

    return experiment.start("01_toy", {"__annotations__": {"output": str}, "output": str(tmp_path / "run")})


def test_parts_of_a_key_become_columns():
    found = {("norm", 20): 1.0, ("trace", 5): 2.0}
    expected = [{"statistic": "norm", "t": 20, "AUC": 1.0}, {"statistic": "trace", "t": 5, "AUC": 2.0}]
    assert tables.rows(found, ["statistic", "t"], "AUC") == expected
    assert tables.rows({"norm": 1.0}, ["statistic"], "AUC") == [{"statistic": "norm", "AUC": 1.0}]


def test_a_key_with_a_part_too_many_is_refused():
    with pytest.raises(ValueError, match="zip"):
        tables.rows({("norm", 20): 1.0}, ["statistic"], "AUC")


def test_an_interval_takes_three_columns():
    found = tables.frame(ROWS)
    assert list(found) == ["kind", "N", "share", "share, low", "share, high"]
    assert found.iloc[0].tolist() == ["copied", 2048, 0.5, 0.25, 0.75]
    assert found.iloc[1, 1:].isna().all()


@pytest.mark.parametrize(
    "values", [{"t": [1, 2], "a": [HALF, HALF]}, pd.DataFrame({"t": [1, 2], "a": [HALF] * 2})]
)
def test_columns_and_tables_do_as_well_as_rows(values):
    assert tables.frame(values).to_dict("list") == {
        "t": [1, 2],
        "a": [0.5, 0.5],
        "a, low": [0.25, 0.25],
        "a, high": [0.75, 0.75],
    }


def test_rows_are_saved_and_recorded_under_keys_made_of_their_values(run):
    rows = [
        {"t": 5, "class": "a", "gap": HALF, "count": 3},
        {"t": 9, "class": "b", "gap": HALF, "count": None},
    ]
    record = {"gap": ("gap_{class}_t{t}", "Gap of {class} at t = {t}"), "count": ("count_{class}", "Count")}
    table = tables.tabulate(run, "gaps", rows, about="Gaps", record=record)
    run.finish()
    found = results.load(run.output)
    assert {key: scalar.value for key, scalar in found.scalars.items()} == {
        "gap_a_t5": 0.5,
        "gap_b_t9": 0.5,
        "count_a": 3,
    }
    assert type(found.scalars["count_a"].value) is int
    assert found.scalars["gap_a_t5"].about == "Gap of a at t = 5"
    assert found.scalars["gap_a_t5"].interval == [0.25, 0.75]
    saved = pd.read_csv(run.output / found.tables["gaps"].files[0])
    assert saved["gap, high"].tolist() == [0.75, 0.75]
    assert list(saved) == list(table)


def test_a_row_without_a_part_of_its_key_is_not_recorded(run):
    rows = [{"moment": "first", "gap": HALF}, {"moment": None, "gap": HALF}]
    table = tables.tabulate(run, "gaps", rows, about="Gaps", record={"gap": ("gap_{moment}", "Gap")})
    assert len(table) == 2
    run.finish()
    assert list(results.load(run.output).scalars) == ["gap_first"]


def test_a_column_that_is_not_there_is_an_error(run):
    with pytest.raises(KeyError, match="gapp"):
        tables.tabulate(run, "gaps", ROWS, about="", record={"gapp": ("x", "")})


def cells(styler):
    return styler.data.to_dict("list")


def test_the_page_shows_an_interval_in_one_cell():
    assert cells(tables.shown(ROWS)) == {
        "kind": ["copied", "other"],
        "N": ["2,048", ""],
        "share": ["0.50 (0.25 to 0.75)", ""],
    }


def test_columns_are_chosen_named_and_formatted():
    rows = [{"a": 0.123456, "b": HALF, "c": 1}]
    assert cells(tables.shown(rows, ["b", "a"], {"a": ".4f"})) == {
        "b": ["0.50 (0.25 to 0.75)"],
        "a": ["0.1235"],
    }
    assert cells(tables.shown(rows, {"b": "share"}, ".0%")) == {"share": ["50% (25% to 75%)"]}


def test_numbers_of_any_kind_are_written_alike():
    found = tables.shown(
        {"int": [np.int64(1000)], "float": [np.float32(0.5)], "nan": [np.nan], "bool": [True]}
    )
    assert cells(found) == {"int": ["1,000"], "float": ["0.50"], "nan": [""], "bool": ["True"]}


def test_the_index_is_not_shown():
    assert "<th" in tables.shown(ROWS).to_html()
    assert 'class="row_heading' not in tables.shown(ROWS).to_html()
