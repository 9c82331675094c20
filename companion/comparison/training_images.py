"""Training images of captions, laid out as the published archives of them are."""

from __future__ import annotations

import json
import re
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from companion.datasets.files import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

_ENDINGS = (".jpeg", ".jpg", ".png", ".webp")
_FORMATS = ("JPEG", "PNG", "WEBP")


class MissingImagesWarning(UserWarning):
    """Captions have no training image and are left out."""


@dataclass(frozen=True)
class TrainingImages:
    """Captions and the files of their training images.

    Attributes:
        captions: P captions that have images, in the order asked for.
        files: the training images of each caption, at least one.
        rows: where each stood among the captions asked for.
        missing: captions without an image, left out.
    """

    captions: tuple[str, ...]
    files: tuple[tuple[Path, ...], ...]
    rows: tuple[int, ...]
    missing: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.captions)


def training_images(
    captions: Sequence[str],
    listing: Path,
    folder: Path | None = None,
    *,
    shared: Sequence[str] = (),
    least: int = 1,
    most: int | None = None,
) -> TrainingImages:
    """Find the training images of captions.

    The layout is that of the archive which Wen et al. (2024) offer for the 500 captions of Stable Diffusion 1
    with github.com/YuxinWenRick/diffusion_memorization: `sdv1_500_mem_groundtruth.jsonl`, an object a line
    with "caption" and "index", beside `gt_images/<index>/*.png`. The paper's list for Stable Diffusion 2,
    `sd2_mem.jsonl`, has the same entries and the address of each image: fetch those into such folders.

    Captions without an image, and those that the listing lacks, are left out and warned of. The paper does so
    too, and judges 454 of 500 and 202 of 219. Nothing outside `folder` is taken for an image.

    Args:
        captions: as the model gets them. Slashes and the number of spaces do not matter.
        listing: the file of captions and indices.
        folder: holds a folder of images for each index; None takes `gt_images` beside the listing.
        shared: words, in any case. Captions that have one in common count as one template and share all their
            images, as in the paper's evaluation of Stable Diffusion 2, where such captions copy each other's.
        least: captions that must have an image.
        most: captions with an image that are wanted, the first ones; None takes all.

    Raises:
        DataError: the listing cannot be read, a name or link leads out of the folder, or fewer than `least`
            captions have an image.
    """
    home = (listing.parent / "gt_images" if folder is None else folder).resolve()
    if not home.is_dir():
        raise DataError(
            f"there is no folder of training images {home}; expected a folder for each index there"
        )
    indices = _indices(listing)
    own = [_files(home, indices[_key(caption)]) for caption in captions]
    files = [_united(own, members) for members in _templates(captions, shared)]
    rows = tuple(row for row, some in enumerate(files) if some)
    missing = tuple(caption for caption, some in zip(captions, files, strict=True) if not some)
    remedy = f"put images of each into {home}/<its index in {listing.name}>/"
    if len(rows) < least:
        raise DataError(
            f"{len(rows) or 'none'} of the {len(captions)} captions has a training image, expected at least "
            f"{least}; {remedy}"
        )
    if most is not None and len(rows) >= most:
        rows, missing = rows[:most], ()
    if missing:
        warnings.warn(
            f"{len(missing)} of {len(captions)} captions have no training image and are left out, the first "
            f"is {missing[0]!r}; to judge them, {remedy}",
            MissingImagesWarning,
            stacklevel=2,
        )
    return TrainingImages(
        tuple(captions[row] for row in rows), tuple(files[row] for row in rows), rows, missing
    )


def pictures(files: Iterable[Path]) -> Iterator[Image]:
    """The images in files, one at a time, in RGB; transparency is dropped, as in the paper's evaluation.

    Raises:
        DataError: a file is no JPEG, PNG or WebP that can be read.
    """
    image = pillow()
    for path in files:
        try:
            with image.open(path, formats=_FORMATS) as found:
                yield found.convert("RGB")
        except (
            OSError,
            SyntaxError,
            ValueError,
            image.DecompressionBombError,
        ) as error:  # pillow's, all four
            raise DataError(f"{path} cannot be read as an image ({error}); fetch or remove it") from error


def pillow() -> Any:
    """The module PIL.Image.

    Raises:
        ImportError: it is not installed, saying how to install it.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(
            "images are read with pillow, which is not installed; in the clone of memlib run "
            "pip install -e '.[experiment]'"
        ) from error
    return Image


def _indices(listing: Path) -> defaultdict[str, list[str]]:
    """Key of a caption -> its indices: a caption may stand in several lines."""
    try:
        lines = listing.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{listing} cannot be read: {error}") from error
    found: defaultdict[str, list[str]] = defaultdict(list)
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                entry = json.loads(line)
                found[_key(entry["caption"])].append(str(entry["index"]))
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise DataError(
                    f'line {number} of {listing} is no object with "caption" and "index" ({error!r}); '
                    'expected lines like {"caption": "A cat", "index": 17}'
                ) from error
    return found


def _key(caption: str) -> str:
    """What a caption has in common in all lists: some lost a slash, or spaces."""
    return " ".join(caption.replace("/", " ").split())


def _files(home: Path, indices: Iterable[str]) -> list[Path]:
    found = []
    for index in dict.fromkeys(indices):
        if not re.fullmatch(r"[\w-]+", index):
            raise DataError(f"the index {index!r} is no plain name; expected letters, digits, - and _")
        place = home / index
        paths = sorted(path for path in place.glob("*") if path.suffix.lower() in _ENDINGS)
        for path in paths:
            if not path.resolve().is_relative_to(home):
                raise DataError(
                    f"{path} leads to {path.resolve()}, out of {home}; put the image itself there"
                )
        found += paths
    return found


def _templates(captions: Sequence[str], shared: Sequence[str]) -> list[list[int]]:
    """For each caption the numbers of those that it shares images with, its own among them."""
    wanted = {word.lower() for word in shared}
    words = [wanted & set(re.findall(r"\w+", caption.lower())) for caption in captions]
    return [
        [other for other, theirs in enumerate(words) if other == number or own & theirs]
        for number, own in enumerate(words)
    ]


def _united(files: Sequence[Sequence[Path]], members: Iterable[int]) -> tuple[Path, ...]:
    return tuple(dict.fromkeys(path for member in members for path in files[member]))
