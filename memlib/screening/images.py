"""Images under names that are safe everywhere, and a sheet of some of them."""

from __future__ import annotations

import hashlib
import re
import textwrap
from pathlib import Path
from typing import Any

from jaxtyping import Float
from PIL import Image
from torch import Tensor

from memlib.files import whole

_LEFT, _TOP, _LINES, _GAP = 170, 20, 18, 4  # pixels for prompts, headings, words below and between images
_DPI, _LETTERS = 100, 7
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


Cell = tuple[Path, str]


def contact_sheet(
    rows: list[tuple[str, list[Cell]]], path: Path, *, headings: list[str] | None = None, side: int = 96
) -> None:
    """A mosaic with a row of small images for each prompt.

    Args:
        rows: the text beside each row, and its images, each with a few words to stand below it.
        path: the path of the sheet, a PNG.
        headings: of the columns.
        side: the side length of an image, in pixels.
    """
    from matplotlib.figure import Figure

    columns = max(len(cells) for _, cells in rows)
    width, height = _LEFT + columns * (side + _GAP), _TOP + len(rows) * (side + _LINES)
    figure = Figure((width / _DPI, height / _DPI), dpi=_DPI)
    place = {"left": _LEFT / width, "right": 1 - _GAP / width, "wspace": _GAP / side}
    place |= {"top": 1 - _TOP / height, "bottom": _LINES / height, "hspace": _LINES / side}
    grid = figure.subplots(len(rows), columns, squeeze=False, gridspec_kw=place)
    for axes in grid.flat:
        axes.set_axis_off()
    style: dict[str, Any] = {"fontsize": _LETTERS, "va": "top", "parse_math": False}
    for axes, heading in zip(grid[0], headings or (), strict=False):
        axes.set_title(heading, fontsize=_LETTERS)
    for line, (text, cells) in zip(grid, rows, strict=True):
        line[0].text(-_LEFT / side, 1, _lines(text, side), transform=line[0].transAxes, **style)
        for axes, (source, words) in zip(line, cells, strict=False):
            with Image.open(source) as image:
                axes.imshow(image.convert("RGB"), aspect="auto")
            axes.text(0, -0.02, words[:40], transform=axes.transAxes, **style)
    with whole(path) as temporary:
        figure.savefig(temporary, format="png")


def _lines(text: str, side: int) -> str:
    """As much of a text as fits beside an image, in letters that every font has."""
    plain = "".join(c if " " <= c <= "~" else " " if c.isspace() else "?" for c in text)
    return textwrap.fill(plain, 26, max_lines=max(1, side // 14), placeholder=" ...")
