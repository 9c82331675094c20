"""Runs as one table: nothing is cut, nothing is lost."""

import pandas as pd
import pytest

from companion.experiment import recorder, side_by_side
from companion.experiment.runs import Place

LONG = "a_number_with_" + "a_very_" * 10 + "long_name"


def record(build, name, seed, layers, **numbers):
    place = Place(build, "01_toy", name)
    given = {"seed": seed, "layers": layers, "x": 0.5, "output": str(place.final)}
    kinds = {"seed": int, "layers": list[int], "x": float, "output": str}
    run = recorder.start("01_toy", {**given, "__annotations__": kinds})
    for key, value in numbers.items():
        run.record(key, value[0], interval=value[1:], level=0.95) if isinstance(value, tuple) else run.record(
            key, value
        )
    run.finish()


@pytest.fixture
def runs(tmp_path):
    record(tmp_path, "a", 1, [1, 2], x=(0.25, 0.125, 0.5), same=(1.0, 1.0, 1.0), **{LONG: 1e-7})
    record(tmp_path, "b", 2, [1, 2], x=123456.0, new=3)
    return side_by_side.find(tmp_path, "01_toy")


def test_a_row_holds_parameters_numbers_and_bounds(runs):
    table = side_by_side.frame(runs).set_index("run")
    assert table.loc["a", ["parameter seed", "parameter x", "x", "x, low", "x, high"]].tolist() == [
        1, 0.5, 0.25, 0.125, 0.5,
    ]  # fmt: skip
    assert table.loc["a", "parameter layers"] == "[1, 2]"
    assert table["new"].isna().tolist() == [True, False]
    assert table["x, low"].isna().tolist() == [False, True]
    assert not any("output" in column for column in table)


@pytest.mark.parametrize("width", [20, 100, 400])
def test_names_and_numbers_are_never_cut(runs, width):
    text = side_by_side.text(runs, width)
    for whole in (LONG, "1e-07", "1.235e+05", "0.25 [0.125, 0.5]", "-p seed"):
        assert whole in text
    assert "-p layers" not in text  # the runs do not differ in it
    assert "[1, 1]" not in text  # an interval without width
    assert len(text.split("\n\n")) == (1 if width == 400 else 2)
    assert all(line == line.rstrip() for line in text.splitlines())


def test_files_hold_what_the_table_holds(runs, tmp_path):
    table = side_by_side.frame(runs)
    side_by_side.write(table, tmp_path / "runs.parquet")
    side_by_side.write(table, tmp_path / "runs.csv")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "runs.parquet"), table)
    again = pd.read_csv(tmp_path / "runs.csv")
    pd.testing.assert_frame_equal(again, table, check_dtype=False)
    with pytest.raises(ValueError, match=r"must end in .csv or .parquet, got '.txt'"):
        side_by_side.write(table, tmp_path / "runs.txt")
    assert not (tmp_path / "runs.txt").exists()


def test_the_recorded_run_is_found_by_its_name(tmp_path):
    (found,) = side_by_side.find(tmp_path, "04_mnist", ["recorded"])
    assert (found.notebook, found.run) == ("04_mnist", "recorded")
    with pytest.raises(ValueError, match="no finished run in"):
        side_by_side.find(tmp_path, "04_mnist")
