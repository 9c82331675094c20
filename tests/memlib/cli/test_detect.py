"""`memlib detect`: what it prints, what it refuses, and that no kill costs or doubles anything."""

import json
import sys

import pytest
from pyarrow import parquet

from memlib.detection.calibration import Threshold
from memlib.screening import STATISTICS, Screening, partial_table, screen
from memlib.screening.tasks import option_name

from ..text_to_image.conftest import UNKNOWN, UNTRAINED
from .conftest import as_words, killed_at_work, start

pytestmark = UNTRAINED

ODD = 'tac [red]"a"[/red]\t<b>'


@pytest.fixture
def prompts(tmp_path):
    """A labelled file of ten prompts."""
    path = tmp_path / "prompts.jsonl"
    rows = [{"prompt": f"{'cat ' * n}a", "label": n > 4, "family": "cats"} for n in range(9)]
    path.write_text("\n".join(json.dumps(row) for row in [*rows, {"prompt": ODD}]))
    return path


@pytest.fixture
def detect(memlib, folders, prompts, tmp_path):
    """A function that screens the prompts with the epsilon pipeline; arguments are added."""

    def call(*more, model=folders["epsilon"], file=prompts, out=tmp_path / "scores.parquet"):
        return memlib("detect", "--model", model, "--prompts", file, "--out", out, "--seeds", "2", *more)

    return call


def test_help_teaches_with_examples(memlib):
    code, out, _ = memlib("detect", "--help")
    assert code == 0
    plain = " ".join(out.replace("│", " ").split())
    for text in (
        "--model data/checkpoints/organism_epsilon --prompts mine.txt --out scores.parquet",
        "--reference",
        "--statistics",
    ):
        assert text in plain


def test_help_offers_every_method_with_its_authors(memlib):
    plain = " ".join(memlib("detect", "--help")[1].replace("│", " ").split())
    for key, title in STATISTICS.items():
        assert f"{option_name(key)} ({title.partition(' (')[2]}" in plain


def test_a_method_is_its_key(detect, tmp_path):
    assert detect("--statistics", "wen,jeon")[0] == 0
    before = (tmp_path / "scores.parquet").read_bytes()
    assert detect("--statistics", "score-difference,sharpness-gain", "--restart")[0] == 0
    assert (tmp_path / "scores.parquet").read_bytes() == before


def test_labelled_prompts_are_ranked_with_thresholds(detect, tmp_path):
    code, out, err = detect("--top", "4")
    assert code == 0, err
    assert "10 prompts x 2 seeds" in out
    assert "... and 6 more in the file" in out
    assert "sharpness gain (Jeon et al. 2025): nothing is marked. A false positive rate of 1.00%" in out
    assert "takes 368 prompts known not to be memorized" in out
    assert "there are 5, 363 are missing" in out
    assert "Called memorized" not in out
    assert "*" not in out
    assert "sharpness gain (Jeon et al. 2025): AUC" in out
    assert "prompts exceed the 12 tokens" in err.replace("\n", " ")
    found = parquet.read_table(tmp_path / "scores.parquet")
    assert found.column_names[-2:] == ["jeon", "wen"]
    assert found["prompt"].to_pylist()[-1] == ODD


def test_prompts_alone_are_only_ranked(detect, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(f"{ODD}\ncat")
    code, out, _ = detect("--statistics", "wen", file=path)
    assert code == 0
    assert "No threshold: a score says which prompts are more suspicious" in out
    assert "[red]" in out
    assert "Jeon" not in out


def test_a_reference_calibrates(detect, tmp_path):
    (tmp_path / "a.txt").write_text("a cat\ntac")
    given = ["--statistics", "wen", "--target", "0.2", "--reference", tmp_path / "known.txt"]
    for count, marked in ((17, True), (16, False)):  # 0.8^17 < 0.025 < 0.8^16
        (tmp_path / "known.txt").write_text("\n".join(f"k {n} cat" for n in range(count)))
        code, out, _ = detect(*given, "--restart", file=tmp_path / "a.txt")
        assert code == 0
        assert ("Called memorized at a false positive rate of at most 20.00% (marked *)" in out) is marked
        assert ("17.65% of the 17 known prompts" in out) is marked
        assert ("takes 17 prompts" in " ".join(out.split())) is not marked
        assert ("1 are missing" in out) is not marked
        assert "k 3" not in out  # references are not ranked


def test_a_star_needs_enough_known_prompts(detect, tmp_path, monkeypatch):
    """All scores lie beyond the threshold; whether that is said depends on how many calibrated it."""
    (tmp_path / "a.txt").write_text("a cat\ntac")
    monkeypatch.setattr(Threshold, "beyond", lambda self, score: True)
    for count, stars in ((17, 2), (16, 0)):
        (tmp_path / "known.txt").write_text("\n".join(f"k {n} cat" for n in range(count)))
        given = ["--statistics", "wen", "--target", "0.2", "--reference", tmp_path / "known.txt", "--restart"]
        out = detect(*given, file=tmp_path / "a.txt")[1]
        assert out.partition("Called")[0].count("*") == stars


def test_a_call_that_was_refused_does_not_stand_in_the_way(detect, tmp_path):
    for wrong in (["--num-inference-steps", "2000"], ["--average-steps", "60"], ["--target", "0"]):
        assert detect("--statistics", "wen", *wrong)[0] == 1
        assert not list(tmp_path.glob("*scores*"))
    assert detect("--statistics", "wen")[0] == 0


def test_the_options_of_before_still_work(detect, tmp_path):
    assert detect("--statistics", "wen", "--steps", "2", "--trajectory", "4")[0] == 0
    settings = partial_table.settings_of(tmp_path / "scores.parquet")
    assert (settings["average_steps"], settings["num_inference_steps"]) == (2, 4)


def test_a_blank_line_is_no_row_and_a_broken_one_is_named_by_its_line(detect, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("prompt\n\ncat\n")
    assert "1 prompts x 2 seeds" in detect("--statistics", "wen", file=path)[1]
    path.write_text("prompt\n\ncat\na red square, top left\n")
    code, _, err = detect("--restart", file=path)
    assert (code, "line 4 of" in err) == (1, True)


def test_the_same_call_again_is_told_from_another(detect):
    detect()
    code, out, _ = detect()
    assert (code, "10 of them from an earlier call" in out) == (0, True)
    code, _, err = detect("--statistics", "wen")
    assert code == 1
    assert "different in statistics" in err
    assert detect("--statistics", "wen", "--restart")[0] == 0


def test_images_beside_the_scores(detect, tmp_path):
    assert detect("--generate", "--num-inference-steps", "3")[0] == 0
    names = parquet.read_table(tmp_path / "scores.parquet")["image"].to_pylist()
    assert sorted(path.name for path in (tmp_path / "scores_images").iterdir()) == sorted(names)


def change_json(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


FLOW = "FlowMatchEulerDiscreteScheduler"


@UNKNOWN
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "vae" / "config.json").unlink(), "vae/config.json is missing"),
        (lambda f: (f / "unet" / "diffusion_pytorch_model.safetensors").unlink(), "holds no weights"),
        (
            lambda f: change_json(f / "model_index.json", _class_name="StableDiffusionInpaintPipeline"),
            "holds a StableDiffusionInpaintPipeline, expected one of StableDiffusionPipeline",
        ),
        (
            lambda f: change_json(f / "scheduler" / "scheduler_config.json", prediction_type="flow"),
            "predicts 'flow', expected one of",
        ),
        (
            lambda f: (
                change_json(f / "model_index.json", scheduler=["diffusers", FLOW]),
                change_json(f / "scheduler" / "scheduler_config.json", _class_name=FLOW),
            ),
            "fails before its first step: 'FlowMatchEulerDiscreteScheduler'",
        ),
    ],
)
def test_a_broken_model_is_one_plain_message(detect, broken, tmp_path, damage, message):
    damage(broken)
    code, _, err = detect(model=broken)
    assert code == 1
    assert err.startswith("error: ")
    assert message in err
    assert "Traceback" not in err
    assert not list(tmp_path.glob("scores*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--statistics", "wenn"], "no statistic is called 'wenn'"),
        (["--dtype", "float8"], "dtype must be one of float32, float16"),
        (["--product", "both"], "product must be one of"),
        (["--device", "abacus"], "device 'abacus' cannot be used here"),
        (["--num-inference-steps", "2000"], "steps must lie in [1, 1000]"),
        (["--statistics", "wen", "--average-steps", "60"], "first_steps must lie in [1, 50]"),
    ],
)
def test_bad_options_are_one_plain_message(detect, arguments, message):
    code, _, err = detect(*arguments)
    assert code == 1
    assert message in err
    assert "Traceback" not in err


def test_bad_files_are_one_plain_message(detect, tmp_path):
    (tmp_path / "latin.txt").write_bytes(b"\xe7a")
    assert "is not UTF-8" in detect(file=tmp_path / "latin.txt")[2]
    assert "there is no file of prompts" in detect(file=tmp_path / "none.txt")[2]
    code, _, err = detect(out=tmp_path / "latin.txt" / "a.parquet")
    assert code == 1
    assert "cannot be written" in err


def test_missing_packages_are_named_before_anything_long(detect, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    code, _, err = detect()
    assert code == 1
    assert "in the clone of memlib, install what this command needs: pip install -e '.[screen]'" in err


def test_an_interruption_says_what_is_kept(detect, monkeypatch, tmp_path):
    assert detect("--batch", "2", out=tmp_path / "whole.parquet")[0] == 0
    real = Screening._rows

    def interrupted(self, start, stop):
        if start == 3:
            raise KeyboardInterrupt
        return real(self, start, stop)

    monkeypatch.setattr(screen.Screening, "_rows", interrupted)
    code, _, err = detect("--batch", "2")
    assert code == 130
    assert "stopped: 3 of 10 prompts are finished and kept" in err
    monkeypatch.undo()


def test_a_resumed_call_ends_like_an_uninterrupted_one(detect, monkeypatch, tmp_path):
    real, whole = Screening._rows, tmp_path / "whole.parquet"
    detect("--batch", "2", out=whole)
    calls = []

    def interrupted(self, start, stop):
        calls.append(start)
        if len(calls) in (3, 6):
            raise KeyboardInterrupt
        return real(self, start, stop)

    with monkeypatch.context() as patch:
        patch.setattr(screen.Screening, "_rows", interrupted)
        assert [detect("--batch", "2")[0] for _ in range(3)] == [130, 130, 0]
    assert calls == [0, 1, 2, 2, 3, 4, 4, 5, 6, 7, 8, 9]
    assert (tmp_path / "scores.parquet").read_bytes() == whole.read_bytes()


@pytest.mark.slow
def test_killed_and_called_again_the_file_is_the_same(memlib, folders, tmp_path):
    (tmp_path / "a.txt").write_text("\n".join(f"{'cat ' * (n % 5)}{n}" for n in range(32)))

    given = {"model": folders["v"], "prompts": tmp_path / "a.txt", "seeds": 2, "batch": 4}
    pieces = tmp_path / "a.parquet.parts"
    assert killed_at_work(start("detect", **given, out=tmp_path / "a.parquet"), pieces, files=3) < 16
    assert not (tmp_path / "a.parquet").exists()
    for name in ("a.parquet", "whole.parquet"):
        code, _, err = memlib("detect", *as_words(given), "--out", tmp_path / name)
        assert code == 0, err
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    assert not pieces.exists()
