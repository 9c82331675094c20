"""Names that no prompt can break, pixels as they were, and the sheet."""

import re

import numpy as np
import pytest
import torch
from PIL import Image
from pyarrow import csv, parquet

from memlib.screening import Images, Screening, gallery, guided, images, noises

from .conftest import TEXTS, table


@pytest.mark.parametrize("prompt", ["", "../../etc/passwd", "a" * 10_000, "<i>\0\n\U0001f408", "con", "*?|"])
def test_a_name_is_safe_whatever_the_prompt_says(prompt):
    assert re.fullmatch(r"000012-[0-9a-f]{8}-3\.png", images.file_name(12, prompt, 3))
    for kind in ("image", "image_before"):
        assert images.FILE_NAME.fullmatch(images.file_name(12_345_678, prompt, 314, kind))


def test_prompts_of_one_number_have_different_names():
    assert images.file_name(0, "a", 0) != images.file_name(0, "b", 0)


def test_pixels_are_rounded_and_not_mirrored(tmp_path):
    image = torch.linspace(0, 1, 3 * 4 * 6).reshape(3, 4, 6)
    images.save(image, tmp_path / "a.png")
    found = np.asarray(Image.open(tmp_path / "a.png"))
    assert np.array_equal(found, np.rint(255 * image.double().numpy()).transpose(1, 2, 0))


def test_a_sheet_has_a_row_for_each_prompt(tmp_path):
    for n, value in enumerate((40, 120, 200)):
        Image.new("RGB", (8, 8), (value,) * 3).save(tmp_path / f"{n}.png")
    cells = [(tmp_path / f"{n}.png", "x" * 500) for n in range(3)]
    rows = [("0: $a_b$ \U0001f408 " + "many words " * 90, cells), ("12: b", cells[1:])]
    images.contact_sheet(rows, tmp_path / "sheet.png", headings=["seed 3"], side=32)
    with Image.open(tmp_path / "sheet.png") as file:
        sheet = np.asarray(file.convert("RGB"))
    assert sheet.shape == (20 + 2 * (32 + 18), 170 + 3 * (32 + 4), 3)
    for row, values in enumerate([(40, 120, 200), (120, 200, 255)]):
        for column, value in enumerate(values):
            top, left = 20 + row * (32 + 18), 170 + column * (32 + 4)
            assert (sheet[top + 2 : top + 30, left + 2 : left + 30] == value).all()
    assert (sheet[:, :150] < 200).any()  # the prompts


def test_a_gallery_has_its_table_as_text_too(model, tmp_path):
    task = Images(model, noises(model, [1, 2]), guided(2))
    made = Screening(model, table(TEXTS * 4), [1, 2], task, (), {}, gallery.pictures_of(tmp_path))
    made.run(gallery.table_of(tmp_path), rows=8)
    gallery.finish(tmp_path)
    whole = parquet.read_table(gallery.table_of(tmp_path))
    text = csv.read_csv(tmp_path / "images.csv", parse_options=csv.ParseOptions(newlines_in_values=True))
    for name in ("number", "prompt", "seed", "image"):
        assert text[name].to_pylist() == whole[name].to_pylist()
    assert Image.open(tmp_path / "sheet.png").size == (170 + 2 * 100, 20 + 20 * 114)
