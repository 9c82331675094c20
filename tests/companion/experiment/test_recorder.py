"""What a notebook writes down is checked, complete and whole."""

import json
import math
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from companion import provenance
from companion.experiment import notebooks, recorder, results
from companion.experiment.context import Context

from .conftest import namespace


@pytest.fixture
def figure():
    figure = Figure(figsize=(2, 1))
    figure.subplots().plot([0, 1], [0, 1])
    return figure


def test_scalars_arrive_with_their_uncertainty(run):
    run.record("auc", 0.98, interval=(0.95, 0.99), level=0.95, n=100, about="A number.")
    run.record("count", 3)
    run.finish()
    found = results.load(run.output)
    assert found.scalars["auc"] == results.Scalar(
        value=0.98, interval=[0.95, 0.99], level=0.95, n=100, about="A number."
    )
    assert type(found.scalars["count"].value) is int


@pytest.mark.parametrize(
    "value", [torch.tensor(0.5), torch.tensor([[0.5]], dtype=torch.float64), np.float32(0.5), np.array([0.5])]
)
def test_one_element_of_any_kind_is_a_number(run, value):
    run.record("half", value, interval=(value, value), level=0.9)
    run.finish()
    text = json.loads((run.output / results.FILE).read_text())
    assert text["scalars"]["half"]["value"] == 0.5


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, torch.tensor(math.nan), np.float64("inf")])
def test_what_is_not_finite_is_refused(run, value):
    with pytest.raises(ValueError, match="only finite numbers are recorded"):
        run.record("x", value)
    with pytest.raises(ValueError, match="only finite numbers are recorded"):
        run.record("x", 1.0, interval=(0.0, value), level=0.5)


@pytest.mark.parametrize(
    ("value", "options", "message"),
    [
        ("0.5", {}, "must be a number"),
        (None, {}, "must be a number"),
        (1 + 1j, {}, "must be a number"),
        (torch.zeros(2), {}, r"must be one number, got shape \(2,\)"),
        (np.zeros((2, 3)), {}, r"must be one number, got shape \(2, 3\)"),
        (1.0, {"interval": (0.0, 2.0)}, "interval and level come together"),
        (1.0, {"level": 0.95}, "interval and level come together"),
        (1.0, {"interval": (2.0, 0.0), "level": 0.95}, "must be \\(low, high\\)"),
        (1.0, {"interval": (0.0, 2.0), "level": 95}, "less than 1"),
        (1.0, {"n": 0}, "greater than or equal to 1"),
    ],
)
def test_what_is_not_one_number_with_a_sound_interval_is_refused(run, value, options, message):
    with pytest.raises(ValueError, match=message):
        run.record("x", value, **options)


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a b", ".hidden"])
def test_names_stay_inside_the_run(run, name):
    for call in (
        lambda: run.record(name, 1.0),
        lambda: run.table({"x": [1]}, name),
        lambda: run.arrays(name, x=[1]),
        lambda: run.figure(Figure(), name),
    ):
        with pytest.raises(ValueError, match="cannot be a file name"):
            call()
    assert [path.name for path in run.output.iterdir()] == []


def test_tables_are_written_and_returned(run):
    frame = run.table({"t": [1, 2], "value": [0.5, 0.25]}, "decay", about="Halves.")
    indexed = run.table(pd.DataFrame({"v": [1.5]}, index=["row"]), "indexed")
    run.finish()
    assert pd.read_csv(run.output / "tables" / "decay.csv").equals(frame)
    assert pd.read_csv(run.output / "tables" / "indexed.csv", index_col=0).equals(indexed)
    assert results.load(run.output).tables["decay"] == results.Artifact(
        files=["tables/decay.csv"], about="Halves."
    )


def test_arrays_of_any_shape_come_back(run):
    image, vector = torch.rand(2, 3, requires_grad=True), np.arange(4)
    run.arrays("field", image=image, vector=vector, scalar=2.0)
    with np.load(run.output / "tables" / "field.npz") as stored:
        assert np.array_equal(stored["image"], image.detach().numpy())
        assert np.array_equal(stored["vector"], vector)
        assert stored["scalar"] == 2.0


def test_arrays_that_would_need_pickle_are_refused(run):
    with pytest.raises(ValueError, match="holds Python objects"):
        run.arrays("bad", x=np.array([{}, {}]))
    with pytest.raises(ValueError, match="got no array"):
        run.arrays("bad")
    assert not (run.output / "tables").exists()


def test_figures_come_as_png_and_svg_with_their_data(run, figure):
    run.figure(figure, "line", about="A line.", data={"x": [0, 1], "y": [0, 1]})
    run.figure(figure, "field", data={"x": [0, 1], "grid": np.eye(3)})
    run.finish()
    with Image.open(run.output / "figures" / "line.png") as image:
        assert image.format == "PNG"
    assert (run.output / "figures" / "line.svg").read_text().startswith("<?xml")
    found = results.load(run.output)
    assert found.figures["line"].files == ["figures/line.png", "figures/line.svg"]
    assert {item.files[0] for item in found.tables.values()} == {"tables/line.csv", "tables/field.npz"}


def test_the_same_figure_gives_the_same_bytes(run, figure):
    run.figure(figure, "one")
    run.figure(figure, "two")
    for kind in ("png", "svg"):
        one, two = (run.output / "figures" / f"{name}.{kind}" for name in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()


def test_results_say_where_they_come_from(run):
    run.finish()
    found = results.load(run.output)
    assert (found.notebook, found.run, found.preset) == ("01_toy", "run", "")
    assert found.parameters == {"seed": 7, "device": "cpu"}
    assert (found.seed, found.device) == (7, "cpu")
    assert found.versions["torch"] == torch.__version__
    assert found.commit == provenance.commit()
    assert found.started.utcoffset().total_seconds() == 0
    assert 0 <= found.duration_s < 60


def test_under_the_driver_files_are_linked_from_the_page(write_notebook, tmp_path, monkeypatch):
    context = Context(run="quick", preset="quick", output=tmp_path / "made", source=write_notebook(""))
    for name, value in context.environment().items():
        monkeypatch.setenv(name, value)
    run = recorder.start("01_toy", namespace())
    run.table({"x": [1]}, "numbers")
    html = run.finish()._repr_html_()
    assert run.output == tmp_path / "made"
    assert results.load(run.output).preset == "quick"
    for file in ("results.json", "tables/numbers.csv"):
        assert f'href="../_static/runs/01_toy/{file}"' in html
    assert 'href="../_sources/notebooks/01_toy.ipynb"' in html
    assert str(tmp_path) not in html


def test_what_is_shown_is_escaped(tmp_path):
    run = recorder.start("01_toy", namespace(output=str(tmp_path), title="<b>"))
    assert "<b>" not in run.finish()._repr_html_()


def test_starting_again_removes_older_results(run):
    run.finish()
    recorder.start("01_toy", namespace(output=str(run.output)))
    assert not (run.output / results.FILE).exists()


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (namespace(seed="7", __fix__=1) | {"__annotations__": {"seed": int}}, "seed must be int, got '7'"),
        (namespace(device="abacus"), "device 'abacus' cannot be used here"),
        ({"seed": 1}, "no annotated parameters found"),
    ],
)
def test_a_bad_start_is_refused(space, message):
    with pytest.raises(ValueError, match=message):
        recorder.start("01_toy", space)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="device 'cuda' cannot be used here"):
        recorder.start("01_toy", namespace(device="cuda"))


def test_auto_takes_what_there_is(tmp_path):
    run = recorder.start("01_toy", namespace(device="auto", output=str(tmp_path)))
    assert run.device == ("cuda" if torch.cuda.is_available() else "cpu")


def test_outside_a_clone_the_commit_is_unknown(monkeypatch, tmp_path):
    monkeypatch.setattr(provenance, "project_root", lambda: tmp_path)
    assert (provenance.commit(), provenance.dirty()) == ("unknown", None)
    monkeypatch.setattr(provenance.shutil, "which", lambda name: None)
    assert (provenance.commit(), provenance.dirty()) == ("unknown", None)


def test_a_plain_script_works_too(write_notebook, tmp_path):
    notebook = write_notebook(
        "# %%\nfrom companion import experiment\nrun = experiment.start('01_toy', globals())\n"
        "run.record('x', 1.5)\n# %%\nrun.finish()\n",
        parameters=f'# %% tags=["parameters"]\nseed: int = 0\noutput: str = {str(tmp_path / "out")!r}\n',
    )
    subprocess.run([sys.executable, str(notebook)], check=True, cwd=tmp_path)
    assert results.load(tmp_path / "out").scalars["x"].value == 1.5


def test_the_parameter_table_shows_values_of_this_run_and_meanings_of_the_source(monkeypatch, tmp_path):
    folder = tmp_path / "notebooks"
    folder.mkdir()
    source = '# %% tags=["parameters"]\nseed: int = 0  # [0, 9] of every <draw>\noutput: str = ""\n'
    (folder / "01_toy.py").write_text(source)
    monkeypatch.setattr(notebooks, "all_notebooks", lambda: [folder / "01_toy.py"])
    space = {"seed": 7, "output": str(tmp_path / "out"), "__annotations__": {"seed": int, "output": str}}
    table = recorder.start("01_toy", space).parameter_table()
    assert repr(table) == "seed: int = 7  # [0, 9] of every <draw>"
    assert "<td>7</td><td>[0, 9]</td><td>of every &lt;draw&gt;</td>" in table._repr_html_()
    assert repr(recorder.start("02_gone", space).parameter_table()) == "seed: int = 7"
    with pytest.raises(ValueError, match=r"seed must be in \[0, 9\], got 10"):
        recorder.start("01_toy", space | {"seed": 10})


def in_a_run_of_the_driver(monkeypatch, write_notebook, tmp_path, **options):
    context = Context(run="a", preset="b", output=tmp_path / "out", source=write_notebook(""), **options)
    for name, value in context.environment().items():
        monkeypatch.setenv(name, value)
    return recorder.start("01_toy", namespace())


def test_checks_of_a_preset_must_hold_and_are_told_together(monkeypatch, write_notebook, tmp_path):
    run = in_a_run_of_the_driver(monkeypatch, write_notebook, tmp_path)
    assert run.check("fine", np.True_, "this holds")
    assert not run.check("low", torch.tensor(1.0) < 0, "one must be negative")
    assert not run.check("high", np.array([2]) > 3, "two must be large")
    with pytest.raises(
        AssertionError, match="does not hold: low: one must be negative; high: two must be large"
    ):
        run.finish()
    assert not (run.output / results.FILE).exists()


def test_checks_of_other_runs_are_recorded_and_shown(monkeypatch, write_notebook, tmp_path):
    run = in_a_run_of_the_driver(monkeypatch, write_notebook, tmp_path, strict=False)
    run.check("fine", True, "this holds")
    run.check("low", np.False_, "one must be <negative>")
    shown = run.finish()
    found = results.load(run.output)
    assert found.checks["low"] == results.Check(holds=False, about="one must be <negative>")
    assert found.broken == ["low: one must be <negative>"]
    assert "1 of 2 hold; not: low: one must be &lt;negative&gt;" in shown._repr_html_()


def test_by_hand_checks_are_recorded(run):
    run.check("low", False, "not so")
    run.finish()
    assert results.load(run.output).broken == ["low: not so"]


@pytest.mark.parametrize("condition", [1, None, "yes", torch.tensor([True, False]), pd.Series([True, True])])
def test_a_check_takes_one_truth_value(run, condition):
    with pytest.raises(ValueError, match="check x must be"):
        run.check("x", condition, "what")


def test_a_check_is_made_once(run):
    run.check("x", True, "what")
    with pytest.raises(ValueError, match="'x' has been made"):
        run.check("x", True, "what")
