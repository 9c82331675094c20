"""CIFAR-10: what ships, its loader, the whole set from an archive, and the error for each that is broken."""

import hashlib
import http.server
import io
import shutil
import sys
import tarfile
import threading
from functools import partial

import numpy as np
import pooch
import pytest
import torch
from PIL import Image

from companion.datasets import DataError, cifar10
from companion.paths import data_root

# Of the pixels as CIFAR-10's binary version has them: image after image; red, green and blue plane; rows.
PIXELS = {
    ("automobile", "train"): "423f74a9136fd090d7d87ffc45ec1cf9c29266c4838161a90965a848c9ade4ac",
    ("automobile", "test"): "51668c05df86d198d222d16ff321d43ea2556e5b3194168cfe0345769e3724ed",
    ("horse", "train"): "1c80652eb2ff6ba7c11b4ffef7eafd39579e2bba4307757d546bba48817af5d9",
    ("horse", "test"): "83eea4a15f3807217b1f3906af46e3fd97f62324acb5c70225def6e8df43892f",
}
SHEET = "automobile-test-1.png"
RECORDS = 20


def as_bytes(images):
    return ((images + 1) * 127.5).round().to(torch.uint8)


# What ships


@pytest.mark.parametrize("name", cifar10.SHIPPED)
@pytest.mark.parametrize(("split", "number"), [("train", 5000), ("test", 1000)])
def test_every_photograph_of_a_class_ships_unchanged(split, number, name):
    images, labels = cifar10.load(split, classes=[name])
    assert images.shape == (number, 3, 32, 32)
    assert images.dtype == torch.float32
    assert labels.dtype == torch.int64
    assert labels.tolist() == [cifar10.CLASSES.index(name)] * number
    pixels = as_bytes(images)
    assert torch.equal(images, pixels / 127.5 - 1)
    assert hashlib.sha256(pixels.numpy().tobytes()).hexdigest() == PIXELS[name, split]


def test_the_card_states_the_hashes_of_files_and_pixels():
    folder = data_root() / "cifar10"
    card, listing = (folder / "README.md").read_text(), (folder / "SHA256SUMS").read_text().splitlines()
    stated = dict(reversed(line.split()) for line in listing)
    assert set(stated) == {path.name for path in folder.glob("*.png")}
    assert all(f"| `{name}` |" in card and f"`{value}`" in card for name, value in stated.items())
    assert all(value in card for value in PIXELS.values())


@pytest.mark.parametrize("count", [1, 1001])
def test_a_count_takes_the_first_images(count):
    images, labels = cifar10.load("train", count=count)
    assert len(images) == len(labels) == count
    assert torch.equal(images, cifar10.load("train", count=1002)[0][:count])


def test_a_small_count_reads_one_sheet(tmp_path):
    for name in ("SHA256SUMS", "automobile-train-1.png"):
        shutil.copy(data_root() / "cifar10" / name, tmp_path)
    assert len(cifar10.load(count=1000, folder=tmp_path)[0]) == 1000
    with pytest.raises(DataError, match=r"automobile-train-2\.png is missing"):
        cifar10.load(count=1001, folder=tmp_path)


@pytest.mark.parametrize(
    ("split", "count", "most"), [("train", 0, 5000), ("train", 5001, 5000), ("test", -1, 1000)]
)
def test_a_count_outside_the_data_is_an_error(split, count, most):
    with pytest.raises(ValueError, match=rf"\[1, {most}\] for one class of the {split} split, got {count}"):
        cifar10.load(split, count=count)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (("lorry",), "no class 'lorry'; its classes are airplane, automobile"),
        (("automobile", "truck"), r"class 'truck' do not ship, those of automobile, horse do; load_all\(\)"),
        ((), r"one or more different names.* got \(\)"),
        (("automobile", "automobile"), "different names"),
        ("automobile", "different names.* got 'automobile'"),
    ],
)
def test_classes_that_are_not_there_are_errors(classes, message):
    with pytest.raises(ValueError, match=message):
        cifar10.load(classes=classes)


@pytest.mark.parametrize("load", [cifar10.load, cifar10.load_all])
def test_an_unknown_split_is_an_error(load):
    with pytest.raises(ValueError, match=r"split must be one of \['train', 'test'\], got 'valid'"):
        load("valid")


# Broken sheets. Those whose hash is listed pass the first check and must be caught by what they hold.


def sheet_folder(folder, content):
    (folder / SHEET).write_bytes(content)
    (folder / "SHA256SUMS").write_text(f"{hashlib.sha256(content).hexdigest()}  {SHEET}\n")
    return folder


def encoded(mode="RGB", size=(1600, 640), form="PNG"):
    file = io.BytesIO()
    Image.new(mode, size, 7).save(file, form)
    return file.getvalue()


def flipped(content, position):
    return content[:position] + bytes([content[position] ^ 255]) + content[position + 1 :]


def test_tiles_are_read_row_after_row(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (640, 1600, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=0)
    images = as_bytes(cifar10.load("test", folder=sheet_folder(tmp_path, file.getvalue()))[0])
    for number in (0, 1, 49, 50, 777, 999):
        row, column = divmod(number, 50)
        tile = pixels[32 * row : 32 * row + 32, 32 * column : 32 * column + 32]
        assert np.array_equal(images[number].permute(1, 2, 0).numpy(), tile)


def test_a_changed_sheet_is_an_error(tmp_path):
    folder = sheet_folder(tmp_path, encoded())
    (folder / SHEET).write_bytes(flipped(encoded(), -20))
    with pytest.raises(DataError, match=r"has sha256 .*, expected .* with 'git checkout"):
        cifar10.load("test", folder=folder)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no image at all",
        encoded()[:40],
        encoded()[:-30],
        flipped(encoded(), 0),
        flipped(encoded(), 20),  # width: the check sum of the header fails
        flipped(encoded(), 60),  # compressed data
    ],
    ids=["empty", "text", "header", "truncated", "signature", "width", "data"],
)
def test_a_corrupt_png_is_an_error(tmp_path, content):
    with pytest.raises(
        DataError, match=rf"{SHEET} cannot be decoded as PNG: .*; restore it with 'git checkout"
    ):
        cifar10.load("test", folder=sheet_folder(tmp_path, content))


def test_a_png_that_claims_a_vast_size_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(DataError, match=r"cannot be decoded as PNG: .* exceeds limit"):
        cifar10.load("test", folder=sheet_folder(tmp_path, encoded()))


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (encoded(size=(1024, 1000)), r"'RGB', \(1024, 1000\)"),
        (encoded(mode="RGBA"), "'RGBA'"),
        (encoded(mode="L"), "'L'"),
        (encoded(form="JPEG"), "'JPEG'"),
    ],
)
def test_an_image_of_another_form_is_an_error(tmp_path, content, found):
    with pytest.raises(DataError, match=rf"no sheet of CIFAR-10: .*{found}.* expected .*\(1600, 640\)"):
        cifar10.load("test", folder=sheet_folder(tmp_path, content))


def test_without_pillow_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match="pip install pillow"):
        cifar10.load("test", count=1)


# The whole set, from a small archive of the same form


def records(seed):
    drawn = np.random.default_rng(seed).integers(0, 256, (RECORDS, 3073), np.uint8)
    drawn[:, 0] %= 10
    return drawn


NAMES = ["test_batch.bin", *(f"data_batch_{number}.bin" for number in range(1, 6))]
BATCHES = {name: records(seed) for seed, name in enumerate(NAMES)}


def packed(path, members):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


@pytest.fixture
def publish(monkeypatch):
    """Makes a file the published archive."""

    def accept(path):
        monkeypatch.setattr(cifar10, "_PER_BATCH", RECORDS)
        monkeypatch.setattr(cifar10, "MD5", hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest())
        return path

    return accept


@pytest.fixture
def archive(tmp_path, publish):
    members = {name: batch.tobytes() for name, batch in BATCHES.items()}
    return publish(packed(tmp_path / "cifar-10-binary.tar.gz", members))


def test_the_whole_training_split_comes_in_order(archive):
    images, labels = cifar10.load_all("train", archive=archive)
    expected = np.concatenate([BATCHES[name] for name in NAMES[1:]])
    assert images.shape == (5 * RECORDS, 3, 32, 32)
    assert images.dtype == torch.float32
    assert labels.tolist() == expected[:, 0].tolist()
    assert np.array_equal(as_bytes(images).reshape(-1, 3072).numpy(), expected[:, 1:])


def test_channels_are_planes(archive):
    images, _ = cifar10.load_all("test", archive=archive)
    second = BATCHES["test_batch.bin"][1]
    assert as_bytes(images)[1, 2, 3, 4] == second[1 + 2 * 1024 + 3 * 32 + 4]


def test_an_archive_that_is_missing_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"none\.tar\.gz is missing; expected the file from https://"):
        cifar10.load_all(archive=tmp_path / "none.tar.gz")


def test_another_md5_is_an_error(archive):
    expected = cifar10.MD5
    archive.write_bytes(archive.read_bytes()[:-100])
    with pytest.raises(
        DataError, match=rf"has md5 [0-9a-f]{{32}}, expected {expected}: it is truncated.* anew from"
    ):
        cifar10.load_all(archive=archive)


def test_an_archive_cut_short_is_an_error(archive, publish):
    archive.write_bytes(archive.read_bytes()[:100_000])
    with pytest.raises(DataError, match=r"data_batch_1\.bin cannot be read from .* anew from"):
        cifar10.load_all("train", archive=publish(archive))


@pytest.mark.parametrize("content", [b"", b"no archive at all", b"\x1f\x8b\x08\x00" + bytes(40)])
def test_a_file_that_is_no_archive_is_an_error(archive, publish, content):
    archive.write_bytes(content)
    with pytest.raises(DataError, match=r"test_batch\.bin cannot be read"):
        cifar10.load_all("test", archive=publish(archive))


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"other.bin": b""}, r"test_batch\.bin cannot be read"),
        ({"test_batch.bin": bytes(3072)}, "has 3,072 bytes, expected 20 records of 3,073"),
        ({"test_batch.bin": bytes([10] + [0] * 3072) * RECORDS}, "has the label 10, expected 0 to 9"),
    ],
)
def test_an_archive_of_another_form_is_an_error(tmp_path, publish, members, message):
    path = publish(packed(tmp_path / "other.tar.gz", members))
    with pytest.raises(DataError, match=message):
        cifar10.load_all("test", archive=path)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *ignored):
        pass


@pytest.fixture
def home(archive, tmp_path, monkeypatch):
    """A server on this machine in place of the data set's home, and an empty cache."""
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / "cache" / name)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=archive.parent))
    monkeypatch.setattr(cifar10, "URL", f"http://127.0.0.1:{server.server_port}/{archive.name}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield archive
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_download_is_kept_in_the_cache(home, tmp_path):
    first, _ = cifar10.load_all("test")
    assert [path.name for path in (tmp_path / "cache/memlib").iterdir()] == [home.name]
    home.unlink()
    assert torch.equal(cifar10.load_all("test")[0], first)


def test_a_cached_file_that_was_changed_is_downloaded_anew(home, tmp_path):
    first, _ = cifar10.load_all("test")
    (tmp_path / "cache/memlib" / home.name).write_bytes(b"changed")
    assert torch.equal(cifar10.load_all("test")[0], first)


def test_a_download_with_another_md5_is_an_error_and_not_kept(home, tmp_path):
    home.write_bytes(b"another file")
    with pytest.raises(DataError, match=r"could not be downloaded to .*hash.*load_all\(archive=\.\.\.\)"):
        cifar10.load_all("test")
    assert not list((tmp_path / "cache/memlib").iterdir())


def test_a_home_that_does_not_answer_is_an_error(home):
    home.unlink()
    with pytest.raises(DataError, match=r"could not be downloaded to .*404.* load_all\(archive=\.\.\.\)"):
        cifar10.load_all("test")


def test_without_pooch_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(ImportError, match="pip install pooch"):
        cifar10.load_all("test")
