"""The digits that ship are the ones that were published, and nothing else is read."""

import gzip
import hashlib
import shutil

import pytest
import torch

from companion.datasets import DataError, mnist
from companion.datasets.files import read_checksums, verified
from companion.paths import data_root
from memlib.files import sha256

# md5 of the uncompressed files, as widely published since 1998.
PUBLISHED = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
COUNTS = {
    "train": [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
    "test": [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
}


@pytest.fixture
def copy(tmp_path):
    """The test split in a folder of its own, to be damaged."""
    for path in (data_root() / "mnist").glob("*"):
        if path.name.startswith(("t10k", "SHA")):
            shutil.copy(path, tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", PUBLISHED)
def test_files_are_those_published(name):
    raw = gzip.decompress((data_root() / "mnist" / f"{name}.gz").read_bytes())
    assert hashlib.md5(raw, usedforsecurity=False).hexdigest() == PUBLISHED[name]


@pytest.mark.parametrize("split", COUNTS)
def test_images_and_digits(split):
    images, digits = mnist.load(split)
    assert images.shape == (sum(COUNTS[split]), 1, 28, 28)
    assert (images.dtype, digits.dtype) == (torch.float32, torch.int64)
    assert torch.bincount(digits).tolist() == COUNTS[split]
    assert (images.min(), images.max()) == (-1.0, 1.0)
    # The mean grey value of the training set, 33.32 of 255, and of the test set, 33.79.
    assert (images.mean().item() + 1) * 127.5 == pytest.approx(
        {"train": 33.32, "test": 33.79}[split], abs=0.01
    )


def test_images_are_upright_and_belong_to_their_digits():
    """Ones are narrow and tall, and the first training digits are 5, 0, 4, 1, 9."""
    images, digits = mnist.load("train")
    assert digits[:5].tolist() == [5, 0, 4, 1, 9]
    ones = (images[digits == 1] > 0).float().mean(dim=(0, 1))
    assert (ones.sum(1) > 0.1).sum() > 1.5 * (ones.sum(0) > 0.5).sum()


def test_first_images_of_one_digit():
    images, digits = mnist.load("test")
    nines = mnist.digit(9, 3, "test")
    assert torch.equal(nines, images[digits == 9][:3])


def test_a_changed_byte(copy):
    path = copy / "t10k-images-idx3-ubyte.gz"
    expected = sha256(path)
    raw = bytearray(path.read_bytes())
    raw[1000] ^= 1
    path.write_bytes(raw)
    with pytest.raises(DataError) as caught:
        mnist.load("test", copy)
    message = str(caught.value)
    assert str(path) in message
    assert f"expected {expected}" in message
    assert "truncated or changed" in message
    assert f"git checkout -- {path}" in message


def test_a_truncated_file(copy):
    path = copy / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(
        DataError, match=r"t10k-labels-idx1-ubyte\.gz \(4,516 bytes\) .* truncated .*git checkout"
    ):
        mnist.load("test", copy)


def test_a_missing_file(copy):
    (copy / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(
        DataError,
        match=r"labels-idx1-ubyte\.gz is missing; expected a file with sha256 b91679a0.*git checkout",
    ):
        mnist.load("test", copy)


def test_an_unlisted_file(copy):
    (copy / "extra.gz").write_bytes(b"")
    with pytest.raises(DataError, match=r"extra\.gz is not listed in .*SHA256SUMS"):
        verified(copy, "extra.gz")


def test_a_missing_list(copy):
    (copy / "SHA256SUMS").unlink()
    with pytest.raises(DataError, match=r"SHA256SUMS is missing.*git checkout"):
        mnist.load("test", copy)


@pytest.mark.parametrize("line", ["f7ae60f9", "xyz  t10k.gz", "0" * 64 + "t10k.gz", "0" * 64])
def test_a_malformed_list(copy, line):
    (copy / "SHA256SUMS").write_text(line + "\n")
    with pytest.raises(
        DataError, match=r"SHA256SUMS has the line .* expected a sha256, two spaces and a file name"
    ):
        mnist.load("test", copy)


def test_a_file_of_another_format(copy):
    path = copy / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(b"not an idx file"))
    (copy / "SHA256SUMS").write_text(f"{sha256(path)}  {path.name}\n")
    with pytest.raises(
        DataError, match=r"no idx file of unsigned bytes: it starts with 6e6f7420, expected 000008"
    ):
        mnist.load("test", copy)


def test_the_list_names_every_file_and_no_other():
    folder = data_root() / "mnist"
    assert set(read_checksums(folder)) == {path.name for path in folder.glob("*.gz")}


def test_the_data_card_states_the_hashes():
    folder = data_root() / "mnist"
    card = (folder / "README.md").read_text()
    assert all(digest in card for digest in [*PUBLISHED.values(), *read_checksums(folder).values()])


def test_another_place(copy, monkeypatch):
    (copy / "mnist").mkdir()
    for path in copy.glob("*.gz"):
        path.rename(copy / "mnist" / path.name)
    (copy / "SHA256SUMS").rename(copy / "mnist" / "SHA256SUMS")
    monkeypatch.setenv("MEMLIB_DATA", str(copy))
    assert data_root() == copy
    assert len(mnist.load("test")[1]) == 10_000
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz is missing"):
        mnist.load("train")


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match=r"split must be one of \['train', 'test'\], got 'valid'"):
        mnist.load("valid")
    with pytest.raises(ValueError, match=r"a digit lies in \[0, 9\], got 10"):
        mnist.digit(10, 1)
    with pytest.raises(
        ValueError, match=r"count must lie in \[1, 1009\] for digit 9 of the test split, got 1010"
    ):
        mnist.digit(9, 1010, "test")
