"""The layout of the published archives: what is found, what is left out, what is refused."""

import json

import pytest
from PIL import Image

from companion.comparison.training_images import pictures, training_images
from companion.datasets.files import DataError


def write(home, entries, files):
    """An archive: lines of a listing, and index -> names of images."""
    home.mkdir(exist_ok=True)
    listing = home / "listing.jsonl"
    listing.write_text("\n".join(json.dumps(entry) for entry in entries) + "\n", encoding="utf-8")
    for index, names in files.items():
        place = home / "gt_images" / index
        place.mkdir(parents=True)
        for number, name in enumerate(names):
            Image.new("RGB", (3, 2), (number, 0, 0)).save(place / name)
    return listing


ENTRIES = [
    {"caption": "A cat / dog", "index": 17, "url": "https://x"},
    {"caption": "A rug by Mills", "index": 5},
    {"caption": "A bed by mills!", "index": 6},
    {"caption": "A rug by Mills", "index": 7},
    {"caption": "Nothing", "index": 8},
]
FILES = {"17": ["1.png", "0.png"], "5": ["a.jpg"], "6": ["b.webp"], "7": ["c.JPEG"], "8": []}


@pytest.fixture
def listing(tmp_path):
    return write(tmp_path / "archive", ENTRIES, FILES)


def names(found):
    return [[f"{path.parent.name}/{path.name}" for path in some] for some in found.files]


def test_images_of_a_caption_come_in_order_with_slashes_and_spaces_in_its_name(listing):
    (listing.parent / "gt_images/17/notes.txt").write_text("no image")
    found = training_images(["A rug by Mills", "A  cat dog"], listing)
    assert names(found) == [["5/a.jpg", "7/c.JPEG"], ["17/0.png", "17/1.png"]]
    assert found.captions == ("A rug by Mills", "A  cat dog")
    assert (found.rows, found.missing) == ((0, 1), ())


def test_captions_without_an_image_are_left_out_and_named(listing):
    with pytest.warns(
        UserWarning, match=r"2 of 3 captions have no .* first is 'Nothing'.*gt_images/<its index"
    ):
        found = training_images(["Nothing", "A cat dog", "Unlisted"], listing)
    assert (found.captions, found.rows, found.missing) == (("A cat dog",), (1,), ("Nothing", "Unlisted"))
    with pytest.raises(DataError, match=r"none of the 1 captions has a training image, .* 1; put images"):
        training_images(["Nothing"], listing)


def test_the_first_captions_with_an_image_are_taken_and_too_few_refused(listing, recwarn):
    wanted = ["Nothing", "A cat dog", "A rug by Mills", "A bed by mills!"]
    found = training_images(wanted, listing, least=2, most=2)
    assert (found.captions, found.rows, found.missing) == (("A cat dog", "A rug by Mills"), (1, 2), ())
    assert not recwarn
    with pytest.raises(DataError, match="1 of the 2 captions has a training image, expected at least 2; put"):
        training_images(wanted[:2], listing, least=2)


def test_captions_with_a_word_in_common_share_their_images(listing):
    captions = ["A bed by mills!", "A cat dog", "A rug by Mills"]
    found = training_images(captions, listing, shared=["MILLS", "mill"])
    assert [set(some) for some in names(found)] == [
        {"5/a.jpg", "6/b.webp", "7/c.JPEG"},
        {"17/0.png", "17/1.png"},
        {"5/a.jpg", "6/b.webp", "7/c.JPEG"},
    ]


def test_a_caption_of_a_template_without_an_image_of_its_own_gets_those_of_the_others(tmp_path):
    listing = write(tmp_path / "a", ENTRIES[:3], {"5": ["a.png"], "17": ["b.png"]})
    found = training_images(["A bed by mills!"] * 1 + ["A rug by Mills"], listing, shared=["mills"])
    assert names(found) == [["5/a.png"], ["5/a.png"]]


@pytest.mark.parametrize("index", ["../secret", "..", "", "/etc", "a/b", "17\n"])
def test_an_index_that_is_a_path(tmp_path, index):
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive/secret").mkdir()
    Image.new("RGB", (2, 2)).save(tmp_path / "archive/secret/0.png")
    listing = write(tmp_path / "archive", [{"caption": "x", "index": index}], {"17": ["0.png"]})
    with pytest.raises(DataError, match="is no plain name"):
        training_images(["x"], listing)


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_link_that_leads_out(tmp_path, what):
    listing = write(tmp_path / "archive", [{"caption": "x", "index": 9}], {"17": ["0.png"]})
    outside = tmp_path / "outside"
    outside.mkdir()
    Image.new("RGB", (2, 2)).save(outside / "0.png")
    place = tmp_path / "archive/gt_images/9"
    if what == "folder":
        place.symlink_to(outside)
    else:
        place.mkdir()
        (place / "1.png").symlink_to(outside / "0.png")
    with pytest.raises(DataError, match=r"leads to .*outside/0.png, out of"):
        training_images(["x"], listing)


def test_a_link_within_the_folder_is_followed(tmp_path):
    listing = write(tmp_path / "archive", [{"caption": "x", "index": 9}], {"17": ["0.png"]})
    (tmp_path / "archive/gt_images/9").symlink_to(tmp_path / "archive/gt_images/17")
    assert names(training_images(["x"], listing)) == [["9/0.png"]]


@pytest.mark.parametrize("line", ["{", "[1]", "7", '{"caption": "x"}', '{"caption": 3, "index": 1}'])
def test_a_line_that_is_no_entry(tmp_path, line):
    listing = write(tmp_path / "archive", ENTRIES[:1], {"17": ["0.png"]})
    listing.write_text(listing.read_text() + "\n" + line)
    with pytest.raises(DataError, match=r"line 3 of .*listing.jsonl is no object with"):
        training_images(["A cat dog"], listing)


def test_a_missing_listing_or_folder(tmp_path, listing):
    with pytest.raises(DataError, match="no folder of training images"):
        training_images(["x"], tmp_path / "listing.jsonl")
    with pytest.raises(DataError, match=r"missing.jsonl cannot be read"):
        training_images(["x"], listing.with_name("missing.jsonl"))


def test_pictures_are_rgb(tmp_path):
    Image.new("RGBA", (2, 3), (10, 20, 30, 0)).save(tmp_path / "a.png")
    Image.new("L", (2, 3), 7).save(tmp_path / "b.png")
    first, second = pictures([tmp_path / "a.png", tmp_path / "b.png"])
    assert (first.mode, first.size, first.getpixel((0, 0))) == ("RGB", (2, 3), (10, 20, 30))
    assert second.getpixel((1, 2)) == (7, 7, 7)


def test_what_is_no_image_is_named(tmp_path):
    (tmp_path / "a.png").write_text("<html>not found</html>")
    Image.new("RGB", (2, 2)).save(tmp_path / "b.png", format="GIF")
    for name in ("a.png", "b.png"):
        with pytest.raises(DataError, match=rf"{name} cannot be read as an image"):
            list(pictures([tmp_path / name]))
