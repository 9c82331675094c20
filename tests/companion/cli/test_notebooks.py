"""The command line: thin, and plain about errors."""

import json
from typing import ClassVar

import pandas as pd
import pytest
from rich.console import Console

from companion.cli import notebooks as commands
from companion.experiment import presets, recorder
from companion.experiment.runs import MESSAGE, Place

NOTEBOOK = """\
# %% tags=["parameters"]
seed: int = 0  # seed of every draw
sigma: float = 0.5  # noise
name: str = ""
"""


@pytest.fixture
def notebook(tmp_path):
    path = tmp_path / "01_toy.py"
    path.write_text(NOTEBOOK)
    return path


@pytest.fixture
def executed(monkeypatch):
    """What the driver is asked to do, without the seconds it takes."""
    calls = []

    class Done:
        duration_s = 1.0
        broken: ClassVar = ["order: the first must be larger"]

    def execute(notebook, overrides, **options):
        calls.append((notebook.stem, overrides, options))
        return Done

    monkeypatch.setattr(commands.driver, "execute", execute)
    return calls


def test_help_says_the_limits_of_the_presets(companion):
    out = " ".join(companion("run", "--help")[1].replace("\u2502", " ").split())
    for name in presets.names():
        assert f"{presets.load(name).timeout} for {name}" in out


def test_help_teaches_with_examples(companion):
    code, out, _ = companion("run", "--help")
    assert code == 0
    assert "companion run 04_mnist --preset full" in out
    assert companion("--version")[1].startswith("memlib ")


def test_values_have_the_types_of_the_notebook(companion, notebook, executed, tmp_path):
    code, out, _ = companion("run", notebook, "-p", "seed=3", "-p", "sigma=2", "--build", tmp_path)
    assert code == 0
    ((name, overrides, options),) = executed
    assert (name, overrides) == ("01_toy", {"seed": 3, "sigma": 2})
    assert (options["run"], options["preset"]) == ("seed-3_sigma-2", "quick")
    assert str(tmp_path / "runs" / "01_toy" / "seed-3_sigma-2") in out


def test_a_run_is_called_by_its_preset_or_its_name(companion, notebook, executed):
    companion("run", notebook, "--preset", "full", "--timeout", "5")
    companion("run", notebook, "-p", "seed=1", "--name", "other")
    assert [options["run"] for _, _, options in executed] == ["full", "other"]
    assert executed[0][2]["timeout"] == 5


@pytest.mark.parametrize(
    ("arguments", "strict"),
    [
        ([], True),
        (["--preset", "full", "--name", "again"], True),
        (["-p", "seed=1"], False),
        (["-p", "seed=1", "--strict"], True),
        (["--no-strict"], False),
    ],
)
def test_checks_bind_presets_as_they_stand(companion, notebook, executed, arguments, strict):
    _, _, err = companion("run", notebook, *arguments)
    assert [options["strict"] for _, _, options in executed] == [strict]
    assert "does not hold: order: the first must be larger" in err


def test_a_run_of_a_sweep(companion, notebook, executed, tmp_path):
    sweep = tmp_path / "sweep.yml"
    sweep.write_text("notebook: 01_toy\nruns:\n  - {name: heavy, seed: 9}\n")
    assert companion("run", notebook, "--sweep", sweep, "--name", "heavy")[0] == 0
    assert executed[0][1] == {"seed": 9}
    assert not executed[0][2]["strict"]
    code, _, err = companion("run", notebook, "--sweep", sweep, "--name", "light")
    assert (code, len(executed)) == (1, 1)
    assert "has no run 'light' (there are: heavy)" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-p", "sead=1"], "unknown parameter 'sead', did you mean seed?"),
        (["-p", "seed=one"], "seed must be int, got 'one'"),
        (["-p", "seed"], "seed: expected NAME=VALUE"),
        (["--preset", "quik"], "unknown preset 'quik', did you mean quick?"),
        (["-p", "seed=1", "--name", "n" * 250], "(250 characters) cannot be the name of a run"),
        (["-p", "seed=1", "--name", "../up"], "cannot be the name of a run"),
    ],
)
def test_bad_input_is_one_plain_message_and_exit_code_1(companion, notebook, tmp_path, arguments, message):
    code, _, err = companion("run", notebook, *arguments, "--build", tmp_path / "build")
    assert code == 1
    assert err.startswith("error: ")
    assert message in err
    assert "Traceback" not in err
    assert not (tmp_path / "build").exists()


def test_an_unknown_notebook(companion):
    code, _, err = companion("run", "99_nothing")
    assert code == 1
    assert "unknown notebook '99_nothing' (there are: " in err


def test_parameters_are_shown_with_type_default_and_meaning(companion, notebook):
    _, out, _ = companion("parameters", notebook)
    for text in ("seed", "int", "seed of every draw", "sigma", "float", "0.5"):
        assert text in out


def test_presets_are_listed(companion):
    _, out, _ = companion("presets")
    assert "quick" in out
    assert "full" in out


def test_results_are_shown(companion, tmp_path):
    place = Place(tmp_path, "01_toy", "quick")
    space = {"seed": 1, "output": str(place.final), "__annotations__": {"seed": int, "output": str}}
    run = recorder.start("01_toy", space)
    run.record("auc", 0.98765, interval=(0.9, 0.99), level=0.95)
    run.finish()
    code, out, _ = companion("results", "01_toy", "--build", tmp_path)
    assert code == 0
    assert "0.98765" in out
    assert "[0.9, 0.99] at 0.95" in out
    assert companion("results", "01_toy", "--name", "full", "--build", tmp_path)[0] == 1


def test_failures_are_told_with_exit_code_1(companion, tmp_path):
    assert companion("failures", "--build", tmp_path) == (0, "", "")
    failed = Place(tmp_path, "01_toy", "quick").failed
    failed.mkdir(parents=True)
    (failed / MESSAGE).write_text("01_toy failed [over] there")
    code, _, err = companion("failures", "--build", tmp_path)
    assert (code, err.strip()) == (1, "01_toy failed [over] there")


def left_by(build, name="quick", **numbers):
    place = Place(build, "01_toy", name)
    space = {"seed": 1, "output": str(place.final), "__annotations__": {"seed": int, "output": str}}
    run = recorder.start("01_toy", space)
    for key, value in numbers.items():
        run.record(
            key, value, about="A number that takes a long sentence to explain, for whoever sees it alone."
        )
    run.finish()
    return build


def test_names_of_numbers_are_never_cut(companion, tmp_path, monkeypatch):
    names = [f"a_number_with_{'a_very_' * 5}long_name_{k}" for k in range(2)]
    left_by(tmp_path, **dict.fromkeys(names, 0.5))
    monkeypatch.setattr(commands, "console", Console(width=60, soft_wrap=True))
    out = companion("results", "01_toy", "--build", tmp_path)[1]
    first_column = "".join(line.split("\u2502")[1].strip() for line in out.splitlines() if "\u2502" in line)
    assert all(name in first_column for name in names)


def test_builds_are_compared(companion, tmp_path):
    before = left_by(tmp_path / "a", x=1.0, y=2.0)
    after = left_by(tmp_path / "b", x=1.0, y=2.02)
    assert companion("compare", before, before)[0] == 0
    code, out, _ = companion("compare", before, after)
    assert code == 1
    assert "2 numbers in both: 1 identical to the last bit, 1 moved; 0 new or gone; 1 beyond" in out
    assert "2.02" in out
    assert companion("compare", before, after, "--tolerance", "0.01")[0] == 0


@pytest.fixture
def three(tmp_path):
    """A build folder with three runs of one notebook."""
    for k, name in enumerate(("quick", "seed-1", "seed-2")):
        left_by(tmp_path, name, x=1.0 + k)
    return tmp_path


def test_runs_become_one_table(companion, three):
    code, out, _ = companion("results", "01_toy", "--table", "--build", three)
    assert code == 0
    assert [line.split() for line in out.splitlines()] == [
        ["quick", "seed-1", "seed-2"],
        ["x", "1", "2", "3"],
    ]
    out = companion("results", "01_toy", "--table", "--name", "seed-2", "--name", "quick", "--build", three)[
        1
    ]
    assert out.split() == ["seed-2", "quick", "x", "3", "1"]


@pytest.mark.parametrize(("ending", "read"), [("csv", pd.read_csv), ("parquet", pd.read_parquet)])
def test_the_runs_of_a_sweep_go_into_a_file(companion, three, tmp_path, ending, read):
    sweep, file = tmp_path / "sweep.yml", tmp_path / f"runs.{ending}"
    sweep.write_text("notebook: 01_toy\nruns: [{seed: 1}, {seed: 2}]\n")
    assert companion("results", "01_toy", "--sweep", sweep, "--out", file, "--build", three)[0] == 0
    table = read(file)
    assert table[["run", "x"]].to_numpy().tolist() == [["seed-1", 2.0], ["seed-2", 3.0]]


def test_a_sweep_of_another_notebook_and_a_run_that_is_not_there(companion, three, tmp_path):
    sweep = tmp_path / "sweep.yml"
    sweep.write_text("notebook: 02_other\nruns: [{seed: 1}]\n")
    code, _, err = companion("results", "01_toy", "--sweep", sweep, "--build", three)
    assert (code, "is a sweep of 02_other, not of 01_toy" in err) == (1, True)
    code, _, err = companion("results", "01_toy", "--table", "--name", "seed-3", "--build", three)
    assert (code, "no finished run 'seed-3'" in err, "quick, seed-1, seed-2" in err) == (1, True, True)


def test_programs_read_json(companion, three, notebook):
    one = json.loads(companion("results", "01_toy", "--json", "--build", three)[1])
    assert (one["run"], one["scalars"]["x"]["value"]) == ("quick", 1.0)
    every = json.loads(companion("results", "01_toy", "--table", "--json", "--build", three)[1])
    assert [run["run"] for run in every] == ["quick", "seed-1", "seed-2"]
    seed, sigma, name = json.loads(companion("parameters", notebook, "--json")[1])
    assert seed == {"name": "seed", "type": "int", "help": "seed of every draw", "default": 0}
    assert (sigma["default"], name["default"]) == (0.5, "")


def test_differences_are_told_in_json(companion, tmp_path):
    before, after = left_by(tmp_path / "a", x=1.0, y=2.0), left_by(tmp_path / "b", x=1.5, y=2.0)
    code, out, _ = companion("compare", before, after, "--json")
    assert (code, json.loads(out)) == (
        1,
        [{"notebook": "01_toy", "run": "quick", "key": "x", "before": 1.0, "after": 1.5}],
    )
