"""`memlib generate`: images, their table and the sheet."""

import pytest
from PIL import Image
from pyarrow import parquet

from memlib.screening import Screening, screen

from ..text_to_image.conftest import UNTRAINED

pytestmark = UNTRAINED


@pytest.fixture
def generate(memlib, folders, tmp_path):
    """A function that makes images of three prompts; arguments are added."""
    (tmp_path / "a.txt").write_text('cat\n../"<b>"\na cat')

    def call(*more, out=tmp_path / "pictures"):
        steps = ["--seeds", "2", "--num-inference-steps", "2", "--first-seed", "7", "--batch", "2"]
        return memlib(
            "generate",
            "--model",
            folders["epsilon"],
            "--prompts",
            tmp_path / "a.txt",
            "--out",
            out,
            *steps,
            *more,
        )

    return call


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_of_images_with_table_and_sheet(generate, tmp_path):
    code, out, err = generate()
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
    assert {path.name for path in (folder / "images").iterdir()} == {row["image"] for row in rows}
    assert Image.open(folder / "images" / rows[0]["image"]).size == (8, 8)


def test_interrupted_and_called_again_the_folder_is_the_same(generate, tmp_path, monkeypatch):
    generate(out=tmp_path / "whole")
    real = Screening._rows

    def interrupted(self, start, stop):
        if start == 1:
            raise KeyboardInterrupt
        return real(self, start, stop)

    with monkeypatch.context() as patch:
        patch.setattr(screen.Screening, "_rows", interrupted)
        code, _, err = generate()
    assert code == 130
    assert "stopped: 1 of 3 prompts are finished" in err
    code, out, _ = generate()
    assert code == 0
    assert "1 of them from an earlier call" in out
    assert files(tmp_path / "pictures") == files(tmp_path / "whole")


def test_other_settings_are_refused(generate):
    generate()
    code, _, err = generate("--guidance", "3")
    assert code == 1
    assert "different in guidance" in err
