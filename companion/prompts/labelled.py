"""Captions of one's own with what is known of them: a table with a family and a number of copies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from companion.datasets.files import DataError
from memlib.screening import prompt_files

COPIED, UNCOPIED = ("exact", "template"), ("general", "stated")
"""Families of captions that may be memorized, and of those that are not."""


@dataclass(frozen=True)
class LabelledCaption:
    """A caption and what the model saw under it.

    Attributes:
        text: the caption.
        family: "exact" (one image, again and again), "template" (images that share a part), "general" (images
            of every kind) or "stated" (likewise, by a text that says much about them).
        copies: how often the same content was seen under it; None where that is not known.
    """

    text: str
    family: str
    copies: int | None


def labelled(path: Path) -> list[LabelledCaption]:
    """The captions of a table, in its order.

    Args:
        path: `.csv`, `.tsv`, `.jsonl` or `.parquet` with the columns "text" and "family", and "copies" where
            their number is known; read as strictly as `memlib.screening.prompt_files` reads.

    Raises:
        PromptFileError: the file is missing, or broken in a way that the message names with its line.
        DataError: naming the line, for a column that is missing, an empty text, another family, and a
            number of copies that is no whole number; or no caption at all.
    """
    found = [_caption(place, record) for place, record in prompt_files.records(path)]
    if not found:
        raise DataError(f"{path} holds no caption; expected a header with text and family and rows below it")
    return found


def _caption(place: str, record: dict[str, Any]) -> LabelledCaption:
    if missing := {"text", "family"} - set(record):
        raise DataError(
            f"{place} has no column {' and no column '.join(sorted(missing))}, it has {[*record]}"
        )
    given = (record.get(name) for name in ("text", "family", "copies"))
    text, family, copies = ("" if value is None else str(value).strip() for value in given)
    if not text or family not in (*COPIED, *UNCOPIED):
        raise DataError(
            f"{place} has the text {text!r} and the family {family!r}; expected a text "
            f"and one of {', '.join((*COPIED, *UNCOPIED))}"
        )
    if copies and not copies.isdecimal():
        raise DataError(f"{place} has {copies!r} copies, expected a whole number or nothing")
    return LabelledCaption(text, family, int(copies) if copies else None)
