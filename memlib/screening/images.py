"""Images under names that are safe everywhere, and a sheet of some of them."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from jaxtyping import Float
from PIL import Image, ImageDraw
from torch import Tensor

from memlib.files import whole

_MARGIN = 2
FILE_NAME = re.compile(r"\d{6,}-[0-9a-f]{8}-\d+(_[a-z]+)?\.png")
"""Of `file_name`."""


def file_name(number: int, prompt: str, seed: int, kind: str = "image") -> str:
    """Number of the prompt, the first digits of its sha256, seed and kind; nothing of what it says.

    Example:
        >>> file_name(7, '"</p> ../~', 42)
        '000007-51d3a474-42.png'
        >>> file_name(7, '"</p> ../~', 42, "image_after")
        '000007-51d3a474-42_after.png'
    """
    of_prompt = hashlib.sha256(prompt.encode()).hexdigest()[:8]
    return f"{number:06d}-{of_prompt}-{seed}{kind.removeprefix('image')}.png"


def save(image: Float[Tensor, "3 H W"], path: Path) -> None:
    """Write an image in [0, 1] as PNG, whole."""
    pixels = (image * 255).round().byte().permute(1, 2, 0).cpu().numpy()
    with whole(path) as temporary:
        Image.fromarray(pixels).save(temporary)


def contact_sheet(rows: list[tuple[str, list[Path]]], path: Path, *, side: int = 96) -> None:
    """One row of small images for each prompt, its title before it.

    Args:
        rows: titles, short and of plain letters, and the images beside each.
        path: the path of the sheet.
        side: the side length of an image, in pixels.
    """
    step = side + _MARGIN
    left = _MARGIN + 8 * max(len(title) for title, _ in rows)
    width = left + step * max(len(images) for _, images in rows)
    sheet = Image.new("RGB", (width, _MARGIN + step * len(rows)), "white")
    draw = ImageDraw.Draw(sheet)
    for row, (title, images) in enumerate(rows):
        top = _MARGIN + row * step
        draw.text((_MARGIN, top + side // 2 - 6), title, fill="black")
        for column, source in enumerate(images):
            sheet.paste(small(source, side), (left + column * step, top))
    with whole(path) as temporary:
        sheet.save(temporary)


def small(path: Path, side: int) -> Image.Image:
    """The image in a file as a square of `side` pixels."""
    with Image.open(path) as image:
        # Few pixels are shown as they are, many are averaged.
        way = Image.Resampling.NEAREST if max(image.size) <= side else Image.Resampling.LANCZOS
        return image.convert("RGB").resize((side, side), way)
