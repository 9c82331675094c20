"""The MNIST digits (LeCun et al. 1998) from the four original idx files in `data/mnist/`."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from companion.datasets.files import DataError, read_checksums, verified
from companion.paths import data_root

Split = Literal["train", "test"]
_PREFIX = {"train": "train", "test": "t10k"}
_UNSIGNED_BYTES = b"\x00\x00\x08"


def load(
    split: Split = "train", folder: Path | None = None
) -> tuple[Float32[Tensor, "N 1 28 28"], Int64[Tensor, " N"]]:
    """Images in [-1, 1] (black is -1) and their digits; 60,000 for "train", 10,000 for "test".

    Args:
        split: "train" or "test".
        folder: the folder of the four files; None takes those that ship.

    Raises:
        DataError: if a file's sha256 is not the one listed, saying what is wrong and what to do.
        ValueError: an unknown split.

    Example:
        >>> images, digits = load("test")
        >>> images.shape, digits.shape
        (torch.Size([10000, 1, 28, 28]), torch.Size([10000]))
    """
    if split not in get_args(Split):
        raise ValueError(f"split must be one of {list(get_args(Split))}, got {split!r}")
    folder = folder or data_root() / "mnist"
    images = _read_idx(verified(folder, f"{_PREFIX[split]}-images-idx3-ubyte.gz"))
    digits = _read_idx(verified(folder, f"{_PREFIX[split]}-labels-idx1-ubyte.gz"))
    scaled = torch.from_numpy(images).float().div_(127.5).sub_(1.0)
    return scaled[:, None], torch.from_numpy(digits).long()


def digit(
    wanted: int, count: int, split: Split = "train", folder: Path | None = None
) -> Float32[Tensor, "N 1 28 28"]:
    """The first `count` images of one digit, in the order of the files.

    Args:
        wanted: the digit, 0 to 9.
        count: how many images.
        split: as in `load`.
        folder: as in `load`.

    Raises:
        ValueError: no digit, or more images than there are.
    """
    if not 0 <= wanted <= 9:
        raise ValueError(f"a digit lies in [0, 9], got {wanted}")
    images, digits = load(split, folder)
    of_digit = images[digits == wanted]
    if not 1 <= count <= len(of_digit):
        raise ValueError(
            f"count must lie in [1, {len(of_digit)}] for digit {wanted} of the {split} split, got {count}"
        )
    return of_digit[:count]


def card(name: str) -> dict[str, Any]:
    """What the card of a network says of a training set, called `name`, that is made of the shipped files."""
    return {"set": name, "sha256": read_checksums(data_root() / "mnist")}


def _read_idx(path: Path) -> np.ndarray:
    """A gzipped idx file of unsigned bytes: magic 0, 0, type, rank; big-endian sizes; data."""
    raw = gzip.decompress(path.read_bytes())
    if raw[:3] != _UNSIGNED_BYTES:
        raise DataError(
            f"{path} is no idx file of unsigned bytes: it starts with {raw[:4].hex()}, expected 000008.."
        )
    rank = raw[3]
    shape = np.frombuffer(raw, ">i4", count=rank, offset=4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * rank).reshape(shape).copy()
