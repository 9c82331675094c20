"""The chapter on real models with tiny pipelines, captions of one's own and training images on disk."""

import json
from pathlib import Path

import jupytext
import matplotlib as mpl
import pytest

pytest.importorskip("diffusers")
pytest.importorskip("transformers")
pytest.importorskip("PIL")

from PIL import Image

from ..companion.comparison.encoder_folders import write_clip, write_dino
from ..memlib.text_to_image.conftest import UNTRAINED, folders

__all__ = ["folders"]

pytestmark = [pytest.mark.slow, UNTRAINED]
NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
CAPTIONS = """\
text,family
a cat,exact
cat a,exact
a a cat,exact
cat cat,exact
tac,template
a tac,template
tac tac,template
act,general
act cat,general
a act,general
act act,general
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
def captions(tmp_path):
    path = tmp_path / "captions.csv"
    path.write_text(CAPTIONS)
    return str(path)


@pytest.fixture
def listing(tmp_path):
    """Two training images of each of four captions, laid out as the published archive is."""
    entries = []
    for number, text in enumerate(["cat a", "a a cat", "cat cat", "tac tac"]):
        folder = tmp_path / "gt_images" / str(number)
        folder.mkdir(parents=True)
        for shade in (0, 40):
            colour = (60 * number, 200 - 50 * number, shade)
            Image.new("RGB", (20, 16 + shade), colour).save(folder / f"{shade}.png")
        entries.append(json.dumps({"caption": text, "index": number}))
    path = tmp_path / "listing.jsonl"
    path.write_text("\n".join(entries))
    return str(path)


@pytest.mark.filterwarnings("ignore::companion.comparison.training_images.MissingImagesWarning")
@pytest.mark.parametrize(
    ("kind", "precision", "seeds", "steps"), [("epsilon", "float32", 2, 6), ("v", "float32", 1, 2)]
)
def test_a_model_of_ones_own(folders, captions, listing, tmp_path, kind, precision, seeds, steps):
    names = run(
        "10_real_models",
        model=str(folders[kind]),
        prompts=captions,
        listing=listing,
        clip=str(write_clip(tmp_path / "clip")),
        dino=str(write_dino(tmp_path / "dino")),
        captions=3,
        whole_captions=2,
        spectra=2,
        mitigated=3,
        harmless=2,
        seeds=seeds,
        whole_seeds=seeds,
        steps=steps,
        layer=2,
        krylov=4,
        probes=2,
        multiples=[2.0],
        descent_steps=1,
        rows=2,
        precision=precision,
        device="cpu",
        output=str(tmp_path / "run"),
    )
    assert [question.name for question in names["known"].questions] == ["exact_general", "template_general"]
    assert list(names["pictures"].captions) == ["cat a", "a a cat", "cat cat"]
    found = json.loads((tmp_path / "run" / "results.json").read_text())["scalars"]
    expected = {
        "opening_auc",
        "count_memorized_last",
        "ratio_others_first",
        "copy_none",
        "fewer_sail_printed",
    }
    assert expected <= found.keys()
    keys = {detector.key for detector in names["rows_of_table"].rows}
    assert {f"auc_template_general_{key}_{seeds}" for key in keys} <= found.keys()
    assert ("wen_5" in keys, "carlini_all" in keys) == (steps > 5, seeds > 1)
    assert set(names["images"]["method"]) == set(names["methods"])
    assert len(names["images"]) == sum(map(len, names["methods"].values())) * 3 * seeds
