"""The CIFAR-10 photographs (Krizhevsky 2009): two classes from `data/cifar10/`, the whole set by download."""

from __future__ import annotations

import hashlib
import tarfile
import zlib
from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from companion.datasets.files import DataError, verified
from companion.paths import data_root

Split = Literal["train", "test"]
Bytes = npt.NDArray[np.uint8]

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
"""Names of the classes; a label is the position in this tuple."""
SHIPPED = ("automobile", "horse")
"""Classes whose images lie in `data/cifar10/`."""
URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
MD5 = "c32a1d4ab5d03f1284b67883e8d87530"

_SHEETS = {"train": 5, "test": 1}  # of each class
_ROWS, _COLUMNS, _SIDE = 20, 50, 32
_PER_SHEET = _ROWS * _COLUMNS
_BATCHES = {"train": [f"data_batch_{number}.bin" for number in range(1, 6)], "test": ["test_batch.bin"]}
_PER_BATCH = 10_000
_RECORD = 1 + 3 * _SIDE * _SIDE  # label, then the red, the green and the blue plane


def load(
    split: Split = "train",
    count: int | None = None,
    classes: Sequence[str] = ("automobile",),
    folder: Path | None = None,
) -> tuple[Float32[Tensor, "N 3 32 32"], Int64[Tensor, " N"]]:
    """Images in [-1, 1] (black is -1) and labels of classes that ship, class after class.

    Args:
        split: "train" (5,000 images of a class) or "test" (1,000).
        count: the number of images of each class, the first in the order of CIFAR-10; None takes all.
        classes: names among `SHIPPED`; `load_all` has the others.
        folder: the folder of the PNG sheets; None takes those that ship.

    Raises:
        ValueError: for a split, count or class that is not there, saying which are.
        DataError: if a sheet is missing, changed or no sheet, saying what is wrong and what to do.
        ImportError: without pillow.

    Example:
        >>> images, labels = load("train", count=64)
        >>> images.shape, labels.unique().tolist()
        (torch.Size([64, 3, 32, 32]), [1])
    """
    _check_split(split)
    _check_classes(classes)
    available = _SHEETS[split] * _PER_SHEET
    count = available if count is None else count
    if not 1 <= count <= available:
        raise ValueError(
            f"count must lie in [1, {available}] for one class of the {split} split, got {count}"
        )
    folder = folder or data_root() / "cifar10"
    images = [_of_class(folder, name, split, count) for name in classes]
    labels = np.repeat([CLASSES.index(name) for name in classes], count)
    return _scaled(np.concatenate(images)), torch.from_numpy(labels)


def load_all(
    split: Split = "train", archive: Path | None = None
) -> tuple[Float32[Tensor, "N 3 32 32"], Int64[Tensor, " N"]]:
    """Images in [-1, 1] and labels of all ten classes: 50,000 for "train" (614 MB), 10,000 for "test".

    They come from the binary version at the data set's home (`URL`, 162 MB), which `pooch` keeps in the
    user's cache; its md5 is compared with the published one at every load.

    Args:
        split: "train" or "test".
        archive: a copy of `cifar-10-binary.tar.gz` to be read in place of a download.

    Raises:
        DataError: if the archive cannot be had, is changed or of another form, saying what to do.
        ImportError: without pooch, unless `archive` is given.
    """
    _check_split(split)
    path = _checked(archive) if archive is not None else _downloaded()
    records = np.concatenate([_records(path, name) for name in _BATCHES[split]])
    images = records[:, 1:].reshape(-1, 3, _SIDE, _SIDE)
    return _scaled(images), torch.from_numpy(records[:, 0].astype(np.int64))


def _check_split(split: str) -> None:
    if split not in get_args(Split):
        raise ValueError(f"split must be one of {list(get_args(Split))}, got {split!r}")


def _check_classes(classes: Sequence[str]) -> None:
    if isinstance(classes, str) or not classes or len(set(classes)) < len(classes):
        raise ValueError(f"classes must be one or more different names, such as {SHIPPED}, got {classes!r}")
    for name in classes:
        if name not in CLASSES:
            raise ValueError(f"CIFAR-10 has no class {name!r}; its classes are {', '.join(CLASSES)}")
        if name not in SHIPPED:
            raise ValueError(
                f"images of the class {name!r} do not ship, those of {', '.join(SHIPPED)} do; "
                "load_all() downloads all ten classes"
            )


def _scaled(images: Bytes) -> Tensor:
    return torch.from_numpy(images).float().div_(127.5).sub_(1.0)


def _of_class(folder: Path, name: str, split: str, count: int) -> Bytes:
    """The first `count` images of one class, `(count, 3, 32, 32)`, from no more sheets than that takes."""
    numbers = range(1, 1 + ceil(count / _PER_SHEET))
    sheets = [_read_sheet(verified(folder, f"{name}-{split}-{number}.png")) for number in numbers]
    return np.concatenate(sheets)[:count]


def _read_sheet(path: Path) -> Bytes:
    """The images `(1000, 3, 32, 32)` of one PNG sheet: 20 rows of 50 tiles, row after row."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(
            f"{path.name} is read with pillow, which is not installed; run 'pip install pillow'"
        ) from error
    expected = ("PNG", "RGB", (_COLUMNS * _SIDE, _ROWS * _SIDE))
    try:
        with Image.open(path) as image:
            found = (image.format, image.mode, image.size)
            pixels = np.asarray(image) if found == expected else None
    # What pillow raises for a broken file depends on where it is broken; a broken chunk is a SyntaxError.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} cannot be decoded as PNG: {error}; {_restore(path)}") from error
    if pixels is None:
        raise DataError(
            f"{path} is no sheet of CIFAR-10: format, mode and (width, height) are {found}, "
            f"expected {expected}; {_restore(path)}"
        )
    tiles = pixels.reshape(_ROWS, _SIDE, _COLUMNS, _SIDE, 3)
    return tiles.transpose(0, 2, 4, 1, 3).reshape(_PER_SHEET, 3, _SIDE, _SIDE)


def _restore(path: Path) -> str:
    return f"restore it with 'git checkout -- {path}' (its origin is in {path.parent / 'README.md'})"


def _downloaded() -> Path:
    """The archive in the user's cache, downloaded if it is not there yet; its md5 is the published one."""
    try:
        import pooch
    except ImportError as error:
        raise ImportError(
            "the whole of CIFAR-10 is downloaded with pooch, which is not installed; run 'pip install pooch'"
        ) from error
    cache = Path(pooch.os_cache("memlib"))
    try:
        return Path(pooch.retrieve(URL, known_hash=f"md5:{MD5}", fname=URL.rpartition("/")[2], path=cache))
    except (OSError, ValueError) as error:  # no network, no room; another md5
        raise DataError(
            f"{URL} could not be downloaded to {cache}: {error}; try again later, "
            "or get the file by other means and name it: load_all(archive=...)"
        ) from error


def _checked(archive: Path) -> Path:
    """The path of an archive whose md5 is the published one."""
    if not archive.is_file():
        raise DataError(f"{archive} is missing; expected the file from {URL}")
    with archive.open("rb") as file:
        # A name for the file its authors published, no protection: they gave nothing stronger.
        found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if found != MD5:
        raise DataError(
            f"{archive} ({archive.stat().st_size:,} bytes) has md5 {found}, expected {MD5}: it is truncated, "
            f"changed or another version; get the binary version anew from {URL}"
        )
    return archive


def _records(path: Path, name: str) -> Bytes:
    """The records `(10000, 3073)` of one batch in the archive."""
    remedy = f"get the archive anew from {URL}"
    try:
        with tarfile.open(path, "r:gz") as archive:
            member = archive.extractfile(f"cifar-10-batches-bin/{name}")
            raw = b"" if member is None else member.read()
    except (KeyError, EOFError, OSError, tarfile.TarError, zlib.error) as error:
        raise DataError(f"{name} cannot be read from {path}: {error}; {remedy}") from error
    if len(raw) != _PER_BATCH * _RECORD:
        raise DataError(
            f"{name} in {path} has {len(raw):,} bytes, "
            f"expected {_PER_BATCH:,} records of {_RECORD:,}; {remedy}"
        )
    records = np.frombuffer(raw, np.uint8).reshape(_PER_BATCH, _RECORD)
    if (highest := records[:, 0].max()) >= len(CLASSES):
        raise DataError(
            f"{name} in {path} has the label {highest}, expected 0 to {len(CLASSES) - 1}; {remedy}"
        )
    return records
