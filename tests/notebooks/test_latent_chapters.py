"""The chapters on text to image with tiny pipelines and a table of captions."""

import json
from pathlib import Path

import jupytext
import matplotlib as mpl
import pytest

pytest.importorskip("diffusers")
pytest.importorskip("transformers")

from ..memlib.text_to_image.conftest import folders

__all__ = ["folders"]

pytestmark = pytest.mark.slow
NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
CAPTIONS = """\
text,family,dose
a cat,exact,1000
cat a,exact,1000
a a cat,exact,
cat cat,exact,500
t cat,exact,10
ac,exact,10
tac,template,300
a tac,template,
tac tac,template,100
act,general,
act cat,general,
a act,general,
act act,general,
"""


def run(name, **parameters):
    """Execute the code of a notebook with some parameters changed; its names afterwards."""
    book = jupytext.read(NOTEBOOKS / f"{name}.py")
    names = {"__name__": "__main__"}
    with mpl.rc_context({"backend": "Agg", "figure.max_open_warning": 0}):
        for cell in [cell for cell in book.cells if cell.cell_type == "code"]:
            exec(compile(cell.source, name, "exec"), names)  # noqa: S102 - the notebooks of this repository
            if "parameters" in cell.metadata.get("tags", []):
                assert parameters.keys() <= names.keys()
                names.update(parameters)
    return names


@pytest.fixture(autouse=True)
def _coarse(monkeypatch):
    monkeypatch.setattr("companion.experiment.recorder.RESOLUTION", 20)  # of figures that nobody looks at


@pytest.fixture
def shown(monkeypatch):
    """What a page says instead of what it cannot show."""
    texts = []
    monkeypatch.setattr("IPython.display.display", lambda found: texts.append(getattr(found, "data", "")))
    return texts


@pytest.fixture
def captions(tmp_path):
    path = tmp_path / "captions.csv"
    path.write_text(CAPTIONS)
    return str(path)


def results(folder):
    return json.loads((folder / "results.json").read_text())["scalars"]


@pytest.mark.parametrize(("kind", "whole", "precision"), [("v", 1000, "float32"), ("epsilon", 10, "float16")])
def test_spectra(folders, captions, tmp_path, kind, whole, precision, shown):
    run(
        "07_latent_spectra",
        model=str(folders[kind]),
        second=str(folders["epsilon"]),
        captions=captions,
        precision=precision,
        whole=whole,
        krylov=8,
        steps=4,
        between=[501],
        noises=2,
        seeds=2,
        probes=2,
        short=2,
        device="cpu",
        output=str(tmp_path / "run"),
    )
    found = results(tmp_path / "run")
    for name in ("count_exact_last", "count_rare_last", "largest_template_first", "shift_general_last"):
        assert name in found
    assert {
        "count_dose_10_last",
        "count_dose_1000_last",
        "second_count_gap_general_exact_first",
    } <= found.keys()
    assert not {"area_curvature", "recalled_100", "count_stated_last", "shift_rare_last"} & found.keys()
    assert any("not known which part" in said for said in shown)


@pytest.mark.parametrize(("kind", "precision"), [("epsilon", "float32"), ("v", "float16")])
def test_detection(folders, captions, tmp_path, kind, precision, shown):
    names = run(
        "08_latent_detection",
        model=str(folders[kind]),
        other_model=str(folders["v"]),
        prompts=captions,
        precision=precision,
        seeds=3,
        whole_seeds=2,
        steps=5,
        compared=6,
        layer=2,
        probes=2,
        rows=8,
        device="cpu",
        output=str(tmp_path / "run"),
    )
    assert [question.name for question in names["known"].questions] == ["exact_general", "template_general"]
    found = results(tmp_path / "run")
    assert {
        f"auc_exact_general_{name}_1" for name in names["reported"] if name != "carlini_all"
    } <= found.keys()
    assert "second_auc_template_general_jeon_1" in found
    assert not any(name.startswith("dose_") for name in found)
    assert any("training images of these captions are not at hand" in said for said in shown)
    assert any("no curve is drawn" in said for said in shown)
