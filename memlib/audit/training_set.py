"""Training images with their captions, as the training scripts of diffusers and kohya take them.

A folder says its captions in one of three ways, looked for in this order: a table `metadata.jsonl` or
`metadata.csv` with the columns "file_name" and "text" (or "caption", "prompt"); a `.txt` or `.caption` file
beside each image. A table given by hand goes before all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from memlib.screening import prompt_files
from memlib.screening.prompt_files import PROMPT

IMAGES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
FILE = ("file_name", "file", "image", "path")
"""Names that the column of image files may have; a table has one of them."""
TABLES = ("metadata.jsonl", "metadata.csv")
BESIDE = (".txt", ".caption")
MOST_PIXELS = 80_000_000
"""An image that says it has more is not unfolded: a small file may say any size. Pillow warns above 89."""
_SHOWN = 5


class TrainingSetError(ValueError):
    """A training set cannot be read."""


@dataclass(frozen=True)
class Example:
    """A training image and its caption.

    Attributes:
        name: the path of the image below the folder of the training set, with "/" between its parts.
        path: the file.
        caption: as the training saw it.
        family: the kind of its caption, where a table tells it in a column "family".
    """

    name: str
    path: Path
    caption: str
    family: str | None = None

    def open(self) -> Image.Image:
        """The image, as `opened` gives it."""
        return opened(self.path)


def opened(path: Path) -> Image.Image:
    """An image in RGB, upright.

    Raises:
        TrainingSetError: what lies there is no image, is cut off, or would be larger than `MOST_PIXELS`.
    """
    try:
        with Image.open(path) as image:
            if image.width * image.height > MOST_PIXELS:
                raise TrainingSetError(
                    f"{path} says that it has {image.width} x {image.height} pixels, more than "
                    f"{MOST_PIXELS:,}; scale it down or remove it"
                )
            return ImageOps.exif_transpose(image).convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise TrainingSetError(f"{path} cannot be read as an image ({error}); mend or remove it") from error


def pixels(image: Image.Image, height: int, width: int) -> Float[Tensor, "3 H W"]:
    """An image as a model of that size is trained on it: scaled, cut in the middle, in [-1, 1]."""
    fitted = ImageOps.fit(image, (width, height), Image.Resampling.BICUBIC)
    numbers = torch.frombuffer(bytearray(fitted.tobytes()), dtype=torch.uint8)
    return numbers.reshape(height, width, 3).permute(2, 0, 1).float() / 127.5 - 1


def read(folder: Path, captions: Path | None = None) -> list[Example]:
    """All images of a training set with their captions, in the order of their names.

    Args:
        folder: where the images lie, at any depth.
        captions: a table of file names and captions; None looks for what the folder has.

    Raises:
        TrainingSetError: what `below` refuses; an image without a caption or a caption without an image; a
            file name that leads out of the folder; a table that cannot be read. Images are not opened here.
    """
    home = Path(folder)
    images = below(home)
    table = captions or next((home / name for name in TABLES if (home / name).is_file()), None)
    texts: dict[str, tuple[str, str | None]] = dict(_of_table(table, home) if table else _beside(images))
    if without := [name for name in images if name not in texts]:
        where = f"row in {table}" if table else f"{' or '.join(BESIDE)} file beside them"
        raise TrainingSetError(
            f"{_counted(without, 'image')} without a caption: {_some(without)}; each needs a {where}"
        )
    if gone := [name for name in texts if name not in images]:
        raise TrainingSetError(
            f"{_counted(gone, 'caption')} without an image below {home}: {_some(gone)}; each has to name one"
        )
    return [Example(name, path, *texts[name]) for name, path in images.items()]


def below(home: Path) -> dict[str, Path]:
    """All files of images in a folder, at any depth, by their names below it and in the order of these.

    Raises:
        TrainingSetError: there is no folder, or no image in it.
    """
    if not home.is_dir():
        raise TrainingSetError(f"{home} is not a folder; expected one with images")
    images = {
        path.relative_to(home).as_posix(): path
        for path in sorted(home.rglob("*"))
        if path.suffix.lower() in IMAGES and path.is_file()
    }
    if not images:
        raise TrainingSetError(f"{home} holds no image; expected files such as 0001.png or 0001.jpg")
    return images


def _of_table(table: Path, home: Path) -> Iterator[tuple[str, tuple[str, str | None]]]:
    seen: dict[str, str] = {}
    for place, record in prompt_files.records(table):
        file, caption = (_value(place, record, names) for names in (FILE, PROMPT))
        path = home / file
        if not path.resolve().is_relative_to(home.resolve()):
            raise TrainingSetError(f"{place} names {file!r}, which leads out of {home}")
        name = Path(file).as_posix().removeprefix("./")
        if name in seen:
            raise TrainingSetError(f"{place} names {name!r}, as {seen[name]} does; expected one row an image")
        seen[name] = place
        family = record.get("family")
        yield name, (caption, None if family in (None, "") else str(family))


def _value(place: str, record: dict[str, Any], names: tuple[str, ...]) -> str:
    there = [name for name in names if name in record]
    if len(there) != 1:
        has = ", ".join(record) or "none"
        raise TrainingSetError(f"{place} needs one of the columns {', '.join(names)}; it has {has}")
    value = record[there[0]]
    if not isinstance(value, str) or not value.strip():
        raise TrainingSetError(f"{place} has the {there[0]} {value!r}, expected text; fill it in")
    return value


def _beside(images: dict[str, Path]) -> Iterator[tuple[str, tuple[str, None]]]:
    for name, path in images.items():
        texts = [text for suffix in BESIDE if (text := path.with_suffix(suffix)).is_file()]
        if len(texts) > 1:
            raise TrainingSetError(f"{path} has {texts[0].name} and {texts[1].name} beside it; remove one")
        if texts:
            yield name, (_caption(texts[0]), None)


def _caption(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise TrainingSetError(f"{path} is not UTF-8 ({error.reason}); convert it with iconv") from error
    if not text or "\0" in text:
        raise TrainingSetError(f"{path} holds no caption; write one or remove the image")
    return " ".join(text.splitlines())


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _counted(names: list[str], what: str) -> str:
    return f"{len(names):,} {what}{'s' * (len(names) != 1)}"
