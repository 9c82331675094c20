"""Training sets as the scripts of diffusers and kohya take them; what they do not say is an error."""

import struct
import zlib

import pytest
import torch
from PIL import Image

from memlib.audit import training_set
from memlib.audit.training_set import TrainingSetError

from .conftest import beside, lines, picture

CAPTIONS = {"a.png": "a cat", "b.JPG": "ein Hund, groß", "more/c.webp": "a cat"}
ROWS = [{"file_name": name, "text": text} for name, text in CAPTIONS.items()]


def captions(found):
    return {example.name: example.caption for example in found}


def test_captions_lie_beside_images_or_in_a_table(folder):
    beside(folder, CAPTIONS)
    assert captions(training_set.read(folder)) == CAPTIONS
    changed = [row | {"text": f"{row['text']}, again"} for row in ROWS]
    lines(folder, changed)  # a table goes before files
    assert captions(training_set.read(folder)) == {k: f"{v}, again" for k, v in CAPTIONS.items()}
    table = folder.parent / "mine.csv"  # and the one given before that of the folder
    table.write_text('image,caption\na.png,x\nb.JPG,"y, z"\n./more/c.webp,x\n', encoding="utf-8")
    assert captions(training_set.read(folder, table)) == {"a.png": "x", "b.JPG": "y, z", "more/c.webp": "x"}


def test_pixels_are_those_that_a_model_was_trained_on(folder):
    beside(folder, CAPTIONS)
    example = training_set.read(folder)[0]
    pixels = training_set.pixels(example.open(), 8, 8)
    assert pixels.shape == (3, 8, 8)
    assert pixels.min() >= -1
    assert pixels.max() <= 1
    flat = Image.new("RGB", (10, 30), (255, 0, 128))
    flat.save(folder / "a.png")
    torch.testing.assert_close(
        training_set.pixels(example.open(), 4, 4)[:, 0, 0],
        torch.tensor([1.0, -1.0, 128 / 127.5 - 1]),
        atol=1e-6,
        rtol=0,
    )


def test_an_image_that_lies_on_its_side_is_turned_upright(folder):
    beside(folder, CAPTIONS)
    exif = Image.Exif()
    exif[0x0112] = 6  # a camera held upright
    picture(0, (30, 10)).save(folder / "b.JPG", exif=exif)
    assert training_set.read(folder)[1].open().size == (10, 30)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (ROWS[:2], r"1 image without a caption: more/c\.webp; each needs a row in .*metadata\.jsonl"),
        (
            [*ROWS, {"file_name": "d.png", "text": "x"}],
            r"1 caption without an image below .*images: d\.png",
        ),
        ([*ROWS, ROWS[0]], r"line 4 of .* names 'a\.png', as line 1 of .* does"),
        ([{"file_name": "../a.png", "text": "x"}], r"line 1 of .* names '\.\./a\.png', which leads out of"),
        ([{"file_name": "/etc/a.png", "text": "x"}], "leads out of"),
        ([{"text": "x"}], "line 1 of .* needs one of the columns file_name, file, image, path; it has text"),
        ([{"file_name": "a.png", "file": "a.png", "text": "x"}], "needs one of the columns file_name"),
        ([{"file_name": "a.png", "text": ""}], "has the text '', expected text"),
        ([{"file_name": 3, "text": "x"}], "has the file_name 3, expected text"),
    ],
)
def test_a_table_that_does_not_fit_names_line_and_file(folder, rows, message):
    lines(folder, rows)
    with pytest.raises(TrainingSetError, match=message):
        training_set.read(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "holds no caption"), (b"\xff\xfeg\x00", "is not UTF-8"), (b"a\0b", "holds no caption")],
)
def test_a_caption_that_is_no_text_is_named(folder, content, message):
    beside(folder, CAPTIONS)
    (folder / "a.txt").write_bytes(content)
    with pytest.raises(TrainingSetError, match=rf"a\.txt {message}"):
        training_set.read(folder)


def test_two_captions_beside_an_image_are_not_chosen_between(folder):
    beside(folder, CAPTIONS)
    (folder / "a.caption").write_text("another")
    with pytest.raises(TrainingSetError, match=r"has a\.txt and a\.caption beside it; remove one"):
        training_set.read(folder)


def test_an_empty_folder_and_none_are_told_apart(tmp_path):
    with pytest.raises(TrainingSetError, match="holds no image"):
        training_set.read(tmp_path)
    with pytest.raises(TrainingSetError, match="is not a folder"):
        training_set.read(tmp_path / "gone")


def png(width, height):
    """A file of some hundred bytes that says it is an image of any size."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 300))
        + chunk(b"IEND", b"")
    )


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no image", "cannot be read as an image"),
        (png(64, 64)[:-40], "cannot be read as an image"),
        (png(10000, 8500), r"10000 x 8500 pixels, more than 80,000,000; scale it down"),
        (png(60000, 60000), "cannot be read as an image .*; mend or remove it"),
    ],
)
def test_broken_images_and_decompression_bombs_are_named_when_they_are_opened(folder, content, message):
    beside(folder, CAPTIONS)
    (folder / "a.png").write_bytes(content)
    example = training_set.read(folder)[0]
    with pytest.raises(TrainingSetError, match=rf"a\.png .*{message}"):
        example.open()
