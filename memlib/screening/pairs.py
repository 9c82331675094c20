"""A sheet of pairs: each image without a mitigation and, beside it, with one."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from memlib.files import whole
from memlib.screening.images import small

_GAP, _BETWEEN = 2, 14  # pixels between two images of a pair, and between pairs
_LINE, _LETTERS, _WIDTH = 15, 22, 160  # height of a line; letters of a line of a prompt, and its pixels
_MARGIN = 6


@dataclass(frozen=True)
class Pair:
    """Two images and a few words about them."""

    before: Path
    after: Path
    words: str


@dataclass(frozen=True)
class Row:
    """The pairs of a prompt.

    Attributes:
        title: a line of its own.
        prompt: any text; what the sheet's letters lack is shown as a question mark.
        pairs: one for each seed.
    """

    title: str
    prompt: str
    pairs: list[Pair]


def size(columns: int, rows: int, side: int) -> tuple[int, int]:
    """Width and height of a sheet, in pixels."""
    width = _MARGIN + _WIDTH + columns * (_pair(side) + _BETWEEN)
    return width, _MARGIN + 2 * _LINE + rows * _row(side)


def corner(column: int, row: int, side: int) -> tuple[int, int]:
    """Left and upper end of a pair, in pixels."""
    return _MARGIN + _WIDTH + column * (_pair(side) + _BETWEEN), _MARGIN + 2 * _LINE + row * _row(side)


def sheet_of_pairs(headings: list[str], rows: list[Row], path: Path, *, side: int = 96) -> None:
    """One row for each prompt with pairs of images, before and after.

    Args:
        headings: the headings of the columns, one for each pair of a row.
        rows: prompts.
        path: the path of the sheet.
        side: the side length of an image, in pixels.
    """
    sheet = Image.new("RGB", size(len(headings), len(rows), side), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=12)

    def write(x: int, y: int, text: str, room: int) -> None:
        while draw.textlength(text, font) > room:
            text = text.removesuffix("...")[:-1] + "..."
        draw.text((x, y), text, fill="black", font=font)

    for column, heading in enumerate(headings):
        left, _ = corner(column, 0, side)
        write(left, _MARGIN, heading, _pair(side))
        write(left, _MARGIN + _LINE, "before", side)
        write(left + side + _GAP, _MARGIN + _LINE, "after", side)
    for number, row in enumerate(rows):
        _, top = corner(0, number, side)
        for line, text in enumerate([row.title, *_lines(row.prompt, side)]):
            write(_MARGIN, top + line * _LINE, text, _WIDTH - _MARGIN)
        for column, pair in enumerate(row.pairs):
            left, top = corner(column, number, side)
            sheet.paste(small(pair.before, side), (left, top))
            sheet.paste(small(pair.after, side), (left + side + _GAP, top))
            write(left, top + side, pair.words, _pair(side))
    with whole(path) as temporary:
        sheet.save(temporary)


def _pair(side: int) -> int:
    return 2 * side + _GAP


def _row(side: int) -> int:
    return side + _LINE + _BETWEEN


def _lines(prompt: str, side: int) -> list[str]:
    """As much of a prompt as fits beside an image, in letters that every font has."""
    plain = "".join(c if " " <= c <= "~" else " " if c.isspace() else "?" for c in prompt)
    most = max(1, side // _LINE - 1)
    return textwrap.wrap(plain, _LETTERS, max_lines=most, placeholder=" ...")
