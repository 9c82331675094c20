"""`memlib generate --mitigate`: every method, what is refused, and what is said of thresholds."""

import re

import pytest
from PIL import Image
from pyarrow import csv, parquet

from memlib.mitigation import METHODS, settings_of
from memlib.screening import Screening, screen

from ..text_to_image.conftest import UNTRAINED
from .conftest import as_words, killed_at_work, start
from .test_generate import files

pytestmark = UNTRAINED

ODD = '../"<b>" \U0001f408 [red]ç'
FEW = {  # settings that make the loops short
    "sail": ["threshold=1e-6", "steps=1", "candidates=2"],
    "noise-adjustment": ["threshold=1e-6", "steps=1"],
    "prompt-embedding": ["threshold=1e-6", "steps=1", "learning-rate=0.01"],
    "random-addition": ["kind=number", "count=1"],
    "attention-rescaling": ["factor=2", "hide=no"],
    "none": [],
}


@pytest.fixture
def generate(memlib, folders, tmp_path):
    """A function that mitigates images of three prompts; arguments are added."""
    (tmp_path / "a.txt").write_text(f"cat\n{ODD}\na cat", encoding="utf-8")

    def call(method, *settings, more=(), out="pictures"):
        given = {"model": folders["epsilon"], "prompts": tmp_path / "a.txt", "out": tmp_path / out}
        given |= {"seeds": 2, "num-inference-steps": 2, "first-seed": 7, "batch": 2}
        words = [word for name, value in given.items() for word in (f"--{name}", value)]
        chosen = [word for text in settings for word in ("--set", text)]
        return memlib("generate", *words, *(["--mitigate", method] if method else []), *chosen, *more)

    return call


@pytest.mark.parametrize("method", METHODS)
def test_every_method_gives_pairs_a_table_and_a_sheet(generate, tmp_path, method):
    code, out, err = generate(method, *FEW[method])
    assert code == 0, err
    folder = tmp_path / "pictures"
    assert str(folder / "sheet.png") in out
    assert sorted(path.name for path in folder.iterdir()) == [
        "images",
        "images.csv",
        "images.parquet",
        "sheet.png",
    ]
    rows = parquet.read_table(folder / "images.parquet").to_pylist()
    assert [(row["number"], row["seed"]) for row in rows] == [(n, s) for n in range(3) for s in (7, 8)]
    assert [row["prompt"] for row in rows[2:4]] == [ODD] * 2
    named = [row[name] for row in rows for name in ("image_before", "image_after")]
    assert sorted(named) == sorted(path.name for path in (folder / "images").iterdir())
    assert all(re.fullmatch(r"\d{6}-[0-9a-f]{8}-\d_(before|after)\.png", name) for name in named)
    different = [
        (folder / "images" / row["image_before"]).read_bytes()
        != (folder / "images" / row["image_after"]).read_bytes()
        for row in rows
    ]
    assert any(different) == (method != "none")
    text = csv.read_csv(folder / "images.csv", parse_options=csv.ParseOptions(newlines_in_values=True))
    assert text["result"].to_pylist() == [row["result"] for row in rows]
    assert Image.open(folder / "sheet.png").size == (170 + 4 * 100, 20 + 3 * 114)


def test_thresholds_not_met_are_one_message(generate, recwarn):
    code, out, err = generate("sail", *FEW["sail"])
    assert code == 0
    plain = " ".join(err.split())
    assert "0 of 6 images met the threshold, 0 of them as they came" in out
    assert len(re.findall("did not meet the threshold", plain)) == 1
    assert "6 of 6 images did not meet the threshold; they are the best that was found" in plain
    assert "More steps or candidates may help, or a larger threshold" in plain
    assert not [w for w in recwarn if "threshold" in str(w.message)]
    code, out, err = generate("sail", "threshold=1e6", out="easy")
    assert "6 of 6 images met the threshold, 6 of them as they came" in out
    assert "did not meet" not in err


@pytest.mark.parametrize("method", ["sail", "random-addition"])
def test_interrupted_and_called_again_the_folder_is_the_same(generate, tmp_path, monkeypatch, method):
    generate(method, *FEW[method], out="whole")
    real = Screening._rows

    def interrupted(self, start, stop):
        if start == 1:
            raise KeyboardInterrupt
        return real(self, start, stop)

    with monkeypatch.context() as patch:
        patch.setattr(screen.Screening, "_rows", interrupted)
        code, _, err = generate(method, *FEW[method])
    assert code == 130
    assert "stopped: 1 of 3 prompts are finished" in err
    code, out, _ = generate(method, *FEW[method])
    assert code == 0
    assert "1 of them from an earlier call" in out
    assert files(tmp_path / "pictures") == files(tmp_path / "whole")


def test_another_method_or_setting_is_not_mixed_in(generate, tmp_path):
    generate("random-addition", "count=1")
    for arguments, named in (
        (("random-addition", "count=2"), ["different in mitigate count: 1, now 2;"]),
        (("none",), ["different in mitigate", "mitigate count", "mitigate kind"]),
        (("",), ["different in mitigate", "mitigate count", "mitigate kind"]),
    ):
        code, _, err = generate(*arguments)
        assert code == 1
        assert all(name in err for name in named)
        assert "--restart" in err
    images = tmp_path / "pictures" / "images"
    (images / "mine.png").write_bytes(b"kept")
    assert generate("", more=["--restart"])[0] == 0
    table = parquet.read_table(tmp_path / "pictures" / "images.parquet")
    assert "result" not in table.column_names
    assert {path.name for path in images.iterdir()} == {*table["image"].to_pylist(), "mine.png"}


def test_a_threshold_from_harmless_prompts(generate, tmp_path):
    (tmp_path / "harmless.txt").write_text("x\nb c\ntac\na b")
    code, out, _ = generate("sail", "steps=0", more=["--reference", tmp_path / "harmless.txt"])
    assert code == 0
    found = re.search(r"threshold=(\S+): 95% of 8 images of \S*harmless\.txt are under it", out)
    table = parquet.read_table(tmp_path / "pictures" / "images.parquet")
    assert set(table["threshold"].to_pylist()) == {float(found[1])}
    code, out, _ = generate("sail", "steps=0", f"threshold={found[1]}")  # the same run by its number
    assert (code, "3 of them from an earlier call" in out) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "more", "message"),
    [
        (("sale",), (), "no mitigation is called 'sale'; there are none, sail"),
        (("sail-printed", "threshold=1"), (), "import companion.comparison.SailPrinted; sail is the"),
        (("sail",), (), "sail needs a threshold, which depends on the model: give --reference FILE"),
        (("sail", "treshold=1"), (), "sail needs a threshold"),
        (
            ("sail", "threshold=1", "foo=2"),
            (),
            "no setting 'foo'; the settings of sail are threshold (a number",
        ),
        (("sail", "threshold=low"), (), "threshold of sail must be a number, got 'low'"),
        (("sail", "threshold=-1"), (), "must be positive"),
        (("sail", "threshold"), (), "--set takes NAME=VALUE, got 'threshold'"),
        (("sail", "threshold=1", "threshold=2"), (), "given twice, as '1' and '2'"),
        (("sail", "threshold=1"), ("--reference", "x.txt"), "both --set threshold and --reference"),
        (("sail",), ("--reference", "x.txt"), "there is no file of prompts x.txt"),
        (("none",), ("--reference", "HERE"), "none has no threshold"),
        (("", "threshold=1"), (), "belong to --mitigate METHOD"),
        (("",), ("--reference", "x.txt"), "belong to --mitigate METHOD"),
        (("noise-adjustment", "threshold=1e-9", "learning_rate=1e30"), (), "take a smaller learning rate"),
    ],
)
def test_what_is_refused_is_one_plain_message(generate, tmp_path, arguments, more, message):
    here = [tmp_path / "a.txt" if word == "HERE" else word for word in more]
    code, _, err = generate(*arguments, more=here)
    assert code == 1
    assert message in " ".join(err.split())
    assert "Traceback" not in err
    assert not (tmp_path / "pictures" / "images.parquet").exists()


def test_help_lists_every_method_and_setting(memlib, monkeypatch):
    monkeypatch.setenv("COLUMNS", "140")
    code, out, _ = memlib("generate", "--mitigate", "help")
    assert code == 0
    for name in METHODS:
        assert re.search(rf"^{name}  ", out, re.M)
        for setting in settings_of(name).values():
            assert f"{setting.name}=" in out
    code, out, _ = memlib("generate", "--help")
    plain = " ".join(out.replace("│", " ").split())
    assert all(name in plain.replace("- ", "-") for name in METHODS)
    assert "--mitigate sail --reference harmless.txt" in plain


@pytest.mark.slow
def test_killed_and_called_again_the_folder_is_the_same(memlib, folders, tmp_path):
    (tmp_path / "a.txt").write_text("\n".join(f"{'cat ' * (n % 5)}{n}" for n in range(12)))

    given = {"model": folders["v"], "prompts": tmp_path / "a.txt", "seeds": 2, "batch": 4}
    given |= {
        "num-inference-steps": 3,
        "mitigate": "sail",
        "set": ["threshold=1e-6", "steps=2", "candidates=2"],
    }
    pieces = tmp_path / "pictures" / "images.parquet.parts"
    assert killed_at_work(start("generate", **given, out=tmp_path / "pictures"), pieces, files=2) < 6
    for name in ("pictures", "whole"):
        code, _, err = memlib("generate", *as_words(given), "--out", tmp_path / name)
        assert code == 0, err
    assert not pieces.exists()
    kept = {path: content for path, content in files(tmp_path / "pictures").items() if path.name[0] != "."}
    assert kept == files(tmp_path / "whole")
