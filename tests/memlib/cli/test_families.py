"""`memlib detect` and `memlib generate` on every family of pipelines that takes prompts or labels."""

import diffusers
import pytest
from PIL import Image
from pyarrow import parquet

from ..text_to_image import families

NAMES = ("sd3", "sdxl", "pixart", "sana", "flux", "dit")
SHORT = ("--num-inference-steps", "2", "--seeds", "2")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    home = tmp_path_factory.mktemp("families")
    return {name: families.write(home / name, name) for name in NAMES}


@pytest.fixture(autouse=True)
def small_flux(monkeypatch):
    """Flux has a size of images of its own; 8 latents to a side are enough here."""
    size = property(lambda self: 8, lambda self, value: None)
    monkeypatch.setattr(diffusers.FluxPipeline, "default_sample_size", size, raising=False)


@pytest.fixture
def prompts(tmp_path):
    def write(name):
        path = tmp_path / "prompts.txt"
        path.write_text("7\n207\nthing 3" if name == "dit" else "a cat\ntac\na")
        return path

    return write


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", NAMES)
def test_detect_and_generate(memlib, written, prompts, tmp_path, name):
    given = ("--model", written[name], "--prompts", prompts(name), *SHORT)
    code, out, err = memlib("detect", *given, "--out", tmp_path / "scores.parquet")
    assert code == 0, err
    assert "ranked by sharpness gain" in out
    rows = parquet.read_table(tmp_path / "scores.parquet").to_pylist()
    assert [(row["number"], row["seed"]) for row in rows] == [(n, s) for n in range(3) for s in (0, 1)]
    for column in ("jeon", "wen"):
        assert len({row[column] for row in rows}) == 6
        assert min(row[column] for row in rows) > 0
    code, _, err = memlib("generate", *given, "--out", tmp_path / "pictures")
    assert code == 0, err
    images = [
        row["image"] for row in parquet.read_table(tmp_path / "pictures" / "images.parquet").to_pylist()
    ]
    first, second = (Image.open(tmp_path / "pictures" / "images" / image) for image in (images[0], images[2]))
    assert first.size == second.size == Image.open(tmp_path / "pictures" / "images" / images[-1]).size
    assert first.tobytes() != second.tobytes()


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", ["sd3", "dit"])
def test_statistics_of_whole_samplings(memlib, written, prompts, tmp_path, name):
    given = ("--model", written[name], "--prompts", prompts(name), *SHORT)
    chosen = "score-difference,hessian-products,curvature-difference,tile-distance"
    code, _, err = memlib("detect", *given, "--statistics", chosen, "--out", tmp_path / "scores.parquet")
    assert code == 0, err
    rows = parquet.read_table(tmp_path / "scores.parquet").to_pylist()
    for column in ("wen", "gap", "kim", "carlini"):
        assert all(row[column] > 0 for row in rows)


@pytest.mark.parametrize("statistic", ["layer-entropy", "bright-ending", "attention-entropy"])
def test_statistics_of_attention_say_that_they_do_not_apply(memlib, written, prompts, tmp_path, statistic):
    given = ("--model", written["sd3"], "--prompts", prompts("sd3"), *SHORT)
    out = tmp_path / "scores.parquet"
    code, _, err = memlib("detect", *given, "--statistics", statistic, "--out", out)
    assert code == 1
    assert "has a SD3Transformer2DModel, expected a U-Net: attention maps" in " ".join(err.split())
    assert memlib("detect", *given, "--out", out)[0] == 0  # nothing was begun that stands in the way
