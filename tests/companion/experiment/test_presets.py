"""Presets and sweeps."""

import pytest

from companion.experiment import notebooks, parameters, presets


def put(folder, **files):
    for name, text in files.items():
        (folder / f"{name}.yml").write_text(text)
    return folder


def test_a_preset_gives_overrides_by_notebook(tmp_path):
    put(tmp_path, quick="about: Small.\ntimeout: 60\nnotebooks:\n  04_mnist: {samples: 5}\n  05_x:\n")
    preset = presets.load("quick", tmp_path)
    assert (preset.about, preset.timeout) == ("Small.", 60)
    assert preset.overrides("04_mnist") == {"samples": 5}
    assert preset.overrides("05_x") == preset.overrides("99_not_named") == {}


def test_an_unknown_preset_lists_the_ones_there_are(tmp_path):
    put(tmp_path, quick="about: a", full="about: b")
    with pytest.raises(
        ValueError, match=r"unknown preset 'quik', did you mean quick\? \(there are: full, quick;"
    ):
        presets.load("quik", tmp_path)
    with pytest.raises(ValueError, match=r"unknown preset '\.\./secret'"):
        presets.load("../secret", tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- 1", "must be a mapping, got list"),
        ("", "must be a mapping, got NoneType"),
        ("about: [", "is not YAML"),
        ("about: a\nnotbooks: {}", "notbooks: Extra inputs"),
        ("notebooks: {}", "about: Field required"),
        ("about: a\ntimeout: 0", "timeout: Input should be greater"),
        ("about: a\nnotebooks: {04_mnist: 3}", "notebooks.04_mnist"),
        ("about: a\nnotebooks: {x: !!python/object/apply:os.getcwd []}", "is not YAML"),
    ],
)
def test_a_malformed_preset_names_its_fault(tmp_path, text, message):
    put(tmp_path, bad=text)
    with pytest.raises(ValueError, match=message) as caught:
        presets.load("bad", tmp_path)
    assert "bad.yml" in str(caught.value)


def test_runs_without_a_name_are_called_by_their_overrides(tmp_path):
    runs = "[{seed: 0, sigma: 0.5}, {name: heavy, seed: 1}, {sizes: [1, 2]}]"
    put(tmp_path, s=f"notebook: 01_a\nruns: {runs}\n")
    sweep = presets.load_sweep(tmp_path / "s.yml")
    assert dict(sweep.named()) == {
        "seed-0_sigma-0.5": {"seed": 0, "sigma": 0.5},
        "heavy": {"seed": 1},
        "sizes-1-2": {"sizes": [1, 2]},
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("notebook: 01_a\nruns: []", "runs: List should have at least 1 item"),
        ("runs: [{seed: 1}]", "notebook: Field required"),
        ("notebook: 01_a\nruns: [{seed: 1}, {seed: 1}]", "names seed-1 more than once"),
        ("notebook: 01_a\nruns: [{name: ../up}]", "cannot be the name of a run"),
    ],
)
def test_a_malformed_sweep_names_its_fault(tmp_path, text, message):
    put(tmp_path, bad=text)
    with pytest.raises(ValueError, match=message):
        presets.load_sweep(tmp_path / "bad.yml")


def test_a_missing_sweep(tmp_path):
    with pytest.raises(ValueError, match="is not there; expected a sweep file"):
        presets.load_sweep(tmp_path / "none.yml")


@pytest.mark.parametrize("name", presets.names())
def test_the_presets_that_ship_fit_the_notebooks(name):
    preset = presets.load(name)
    known = {path.stem: path for path in notebooks.all_notebooks()}
    assert set(preset.notebooks) <= set(known)
    for notebook, path in known.items():
        parameters.check(parameters.read(path), preset.overrides(notebook))


@pytest.mark.parametrize(
    "path", sorted(presets.folder().parent.glob("sweeps/*.yml")), ids=lambda path: path.stem
)
def test_the_sweeps_that_ship_fit_their_notebook(path):
    sweep = presets.load_sweep(path)
    declared = parameters.read(notebooks.find(sweep.notebook))
    for _, overrides in sweep.named():
        parameters.check(declared, {**presets.load(sweep.preset).overrides(sweep.notebook), **overrides})
