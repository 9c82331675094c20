"""`memlib detect`, `memlib generate` and `memlib audit` on every family that takes prompts or labels."""

import json
import re

import pytest
from PIL import Image
from pyarrow import parquet

from ..audit.conftest import picture

NAMES = ("sd3", "sdxl", "pixart", "sana", "flux", "dit")
SHORT = ("--num-inference-steps", "2", "--seeds", "2")

pytestmark = [
    pytest.mark.usefixtures("small_flux"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


def texts(name):
    return ("7", "207", "thing 3") if name == "dit" else ("a cat", "tac", "a")


@pytest.fixture
def prompts(tmp_path):
    def write(name):
        path = tmp_path / "prompts.txt"
        path.write_text("\n".join(texts(name)))
        return path

    return write


@pytest.fixture
def training(tmp_path):
    """A folder of images with captions, the first of them twice."""

    def write(name):
        home = tmp_path / "training"
        home.mkdir()
        for number, text in enumerate((texts(name)[0], *texts(name))):
            picture(max(1, number)).save(home / f"{number}.png")
            (home / f"{number}.txt").write_text(text)
        return home

    return write


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


@pytest.mark.parametrize("name", NAMES)
def test_audit_against_the_base(memlib, written, training, tmp_path, name):
    given = ("--model", written[f"{name}-tuned"], "--base", written[name], "--training", training(name))
    more = ("--suspicious", "1", "--random", "1")
    code, _, err = memlib("audit", *given, *SHORT, *more, "--out", tmp_path / "report")
    assert code == 0, err
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert sorted(caption["caption"] for caption in report["captions"]) == sorted(texts(name))
    assert [caption["looked_at"] for caption in report["captions"]].count("suspicious") == 1
    rows = parquet.read_table(tmp_path / "report" / "values.parquet").to_pylist()
    for column in ("excess", "shift", "gain"):
        assert len({row[column] for row in rows}) == len(rows), column


@pytest.mark.parametrize("name", ["sd3", "dit"])
def test_statistics_of_whole_samplings(memlib, written, prompts, tmp_path, name):
    given = ("--model", written[name], "--prompts", prompts(name), *SHORT)
    chosen = "score-difference,hessian-products,curvature-difference,tile-distance"
    code, _, err = memlib("detect", *given, "--statistics", chosen, "--out", tmp_path / "scores.parquet")
    assert code == 0, err
    rows = parquet.read_table(tmp_path / "scores.parquet").to_pylist()
    for column in ("wen", "gap", "kim", "carlini"):
        assert all(row[column] > 0 for row in rows)


@pytest.mark.parametrize(
    ("statistic", "called"),
    [
        ("layer-entropy", "layer entropy (Ren et al. 2024)"),
        ("bright-ending", "bright ending (Chen et al. 2025)"),
        ("attention-entropy", "attention entropy (Ren et al. 2024)"),
    ],
)
@pytest.mark.parametrize("name", ["sd3", "pixart"])
def test_statistics_of_attention_say_that_they_do_not_apply(
    memlib, written, prompts, tmp_path, name, statistic, called
):
    given = ("--model", written[name], "--prompts", prompts(name), *SHORT)
    out = tmp_path / "scores.parquet"
    code, _, err = memlib("detect", *given, "--statistics", statistic, "--out", out)
    assert code == 1
    assert re.search(
        rf"has a \w+, expected a U-Net: {re.escape(called)} cannot be had", " ".join(err.split())
    )
    assert not out.exists()
    assert memlib("detect", *given, "--out", out)[0] == 0  # nothing was begun that stands in the way


@pytest.mark.parametrize(
    ("name", "method", "why"),
    [
        ("sd3", "attention-rescaling", "has a SD3Transformer2DModel, expected a U-Net: attention re-scaling"),
        ("dit", "random-addition", "reads labels, expected text: random token addition"),
        ("dit", "prompt-embedding", "reads labels, expected text: prompt embedding"),
    ],
)
def test_mitigations_say_that_they_do_not_apply(memlib, written, prompts, tmp_path, name, method, why):
    given = ("--model", written[name], "--prompts", prompts(name), *SHORT, "--mitigate", method)
    given += ("--set", "threshold=1") if method == "prompt-embedding" else ()
    code, _, err = memlib("generate", *given, "--out", tmp_path / "pictures")
    assert code == 1
    assert why in " ".join(err.split())
    assert not (tmp_path / "pictures").exists()


@pytest.mark.parametrize(
    ("name", "method", "moved"),
    [("sd3", "random-addition", True), ("dit", "noise-adjustment", None), ("pixart", "none", False)],
)
def test_mitigations_that_apply(memlib, written, prompts, tmp_path, name, method, moved):
    given = ("--model", written[name], "--prompts", prompts(name), *SHORT, "--mitigate", method)
    given += ("--set", "threshold=0.1", "--set", "steps=2") if method == "noise-adjustment" else ()
    code, _, err = memlib("generate", *given, "--out", tmp_path / "pictures")
    assert code == 0, err
    for row in parquet.read_table(tmp_path / "pictures" / "images.parquet").to_pylist():
        before, after = (
            tmp_path / "pictures" / "images" / row[f"image_{side}"] for side in ("before", "after")
        )
        assert moved is None or (before.read_bytes() != after.read_bytes()) is moved
