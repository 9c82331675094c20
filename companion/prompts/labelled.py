"""Captions of one's own with what is known of them: a table with a family and a number of copies."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from companion.datasets.files import DataError

COPIED, UNCOPIED = ("exact", "template"), ("general", "stated")
"""Families of captions that may be memorized, and of those that are not."""


@dataclass(frozen=True)
class LabelledCaption:
    """A caption and what the model saw under it.

    Attributes:
        text: the caption.
        family: "exact" (one image, again and again), "template" (images that share a part), "general" (images
            of every kind) or "stated" (likewise, by a text that says much about them).
        dose: how often the same content was seen under it; None where that is not known.
    """

    text: str
    family: str
    dose: int | None


def labelled(path: Path) -> list[LabelledCaption]:
    """The captions of a CSV file, in its order.

    Args:
        path: UTF-8, with a header that names the columns "text" and "family", and may name "dose".

    Raises:
        DataError: naming the row, for a file that is missing, empty, not UTF-8 or without these columns, for
            an empty text, another family, and a dose that is no whole number.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, strict=True))
    except FileNotFoundError:
        raise DataError(f"there is no file of captions {path}") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a UTF-8 table in CSV: {error}") from error
    if not rows:
        raise DataError(f"{path} holds no caption; expected a header with text and family and rows below it")
    if missing := {"text", "family"} - set(rows[0]):
        raise DataError(
            f"{path} has no column {' and no column '.join(sorted(missing))}, it has {[*rows[0]]}"
        )
    return [_caption(path, number, row) for number, row in enumerate(rows, start=1)]


def _caption(path: Path, number: int, row: dict[str, str | None]) -> LabelledCaption:
    text, family, dose = (str(row.get(name) or "").strip() for name in ("text", "family", "dose"))
    if not text or family not in (*COPIED, *UNCOPIED):
        raise DataError(
            f"row {number} of {path} has the text {text!r} and the family {family!r}; expected a text "
            f"and one of {', '.join((*COPIED, *UNCOPIED))}"
        )
    if dose and not dose.isdecimal():
        raise DataError(f"row {number} of {path} has the dose {dose!r}, expected a whole number or nothing")
    return LabelledCaption(text, family, int(dose) if dose else None)
