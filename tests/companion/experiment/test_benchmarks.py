"""Recorded benchmarks become the tables of pages."""

import json

import pandas as pd
import pytest

from companion.experiment import benchmarks

ROW = {
    "what": "ours",
    "instead_of": "theirs",
    "setting": "two",
    "ratio": 3.456,
    "low": 3.0,
    "high": 4.0,
    "reads": "times the time of",
    "target": "at most 3",
    "met": False,
}


@pytest.fixture
def folder(tmp_path):
    plain = ROW | {"instead_of": "", "reads": "seconds", "target": None, "met": None}
    for name, rows in (("toy-a", [ROW, plain]), ("toy-b", [ROW, ROW | {"ratio": None}]), ("other-a", [ROW])):
        text = json.dumps({"machine": {"name": name}, "rows": rows})
        (tmp_path / f"{name}.json").write_text(text)
    return tmp_path


def test_all_machines_of_one_suite(folder):
    rows = benchmarks.recorded("toy", folder)
    assert rows["machine"].tolist() == ["toy-a", "toy-a", "toy-b", "toy-b"]


def test_rows_read_as_sentences(folder):
    shown = benchmarks.summary(benchmarks.recorded("toy", folder))
    assert shown["comparison"].tolist() == ["ours / theirs: two", "ours: two", "ours / theirs: two"]
    assert shown["measured"].tolist()[:2] == ["3.46 (3 to 4) times as long", "3.46 (3 to 4) seconds"]
    assert shown["target"].tolist()[:2] == ["at most 3: missed", ""]


def test_a_single_measurement_has_no_spread():
    row = dict(ROW, ratio=0.0238, low=0.0238, high=0.0238)
    shown = benchmarks.summary(pd.DataFrame([row]))
    assert shown["measured"].tolist() == ["0.0238 times as long"]


def test_a_suite_that_was_never_recorded(folder):
    with pytest.raises(
        FileNotFoundError, match=r"no new-\*.json; .*measure: python -m benchmarks --suite new"
    ):
        benchmarks.recorded("new", folder)


@pytest.mark.parametrize("suite", ["hessian", "latent", "full-size"])
def test_what_is_recorded_can_be_shown(suite):
    shown = benchmarks.summary(benchmarks.recorded(suite))
    assert shown.notna().all(axis=None)
