"""Files of prompts: plain lines or tables, with any characters, read into one table."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

PROMPT = ("prompt", "caption", "text")
"""Names of the column of prompts; the first that a file has is taken."""
LABEL = ("label", "memorized")
"""Names of the column that says which prompts are memorized."""
SCHEMA = pa.schema([("prompt", pa.string()), ("label", pa.bool_()), ("family", pa.string())])
_TRUTH = {"1": True, "true": True, "0": False, "false": False, "": None, "none": None}

Records = Iterator[tuple[int, dict[str, Any]]]


class CaptionsError(ValueError):
    """A file of prompts cannot be read."""


def read(path: Path) -> pa.Table:
    """The prompts of a file, in its order, with labels and families where it has them.

    `.txt` holds one prompt a line, blank lines are left out. `.csv`, `.tsv`, `.jsonl` and `.parquet` have a
    column named "prompt", "caption" or "text" and may have "label" (or "memorized": 1, true, 0, false or
    empty) and "family". Text is UTF-8, with or without a mark at its beginning.

    Returns:
        A table of `SCHEMA`; labels and families that the file does not have are null.

    Raises:
        CaptionsError: naming the line or row, for a file that is missing, empty, of another kind, not UTF-8
            or without such a column.
    """
    if not path.is_file():
        raise CaptionsError(f"there is no file of prompts {path}")
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise CaptionsError(f"{path} is {path.suffix or 'without a suffix'}, expected {', '.join(_READERS)}")
    columns: dict[str, list[Any]] = {name: [] for name in SCHEMA.names}
    for number, record in reader(path):
        prompt, label, family = _fields(path, number, record)
        columns["prompt"].append(prompt)
        columns["label"].append(label)
        columns["family"].append(family)
    if not columns["prompt"]:
        raise CaptionsError(f"{path} holds no prompt; expected one a line, or a row for each below a header")
    return pa.table(columns, SCHEMA)


def with_reference(captions: pa.Table, reference: pa.Table) -> pa.Table:
    """Both in one table, with a column `reference` that is true for the second: known not to be memorized."""
    flagged = [
        table.append_column("reference", pa.array([value] * len(table), pa.bool_()))
        for table, value in ((captions, False), (reference, True))
    ]
    return pa.concat_tables(flagged)


def digest(captions: pa.Table) -> str:
    """Hexadecimal sha256 of what a table of prompts says."""
    found = hashlib.sha256(json.dumps(captions.column_names).encode())
    for batch in captions.combine_chunks().to_batches(max_chunksize=4096):
        found.update(json.dumps(batch.to_pydict()).encode())
    return found.hexdigest()


def _fields(path: Path, number: int, record: dict[str, Any]) -> tuple[str, bool | None, str | None]:
    key = next((name for name in PROMPT if name in record), None)
    if key is None:
        raise CaptionsError(
            f"{path} has no column {', '.join(PROMPT[:-1])} or {PROMPT[-1]}; "
            f"row {number} has {', '.join(map(str, record)) or 'none'}"
        )
    prompt = record[key]
    if not isinstance(prompt, str) or not prompt.strip():
        raise CaptionsError(f"row {number} of {path} has the {key} {prompt!r}, expected text")
    try:
        prompt.encode()
    except UnicodeEncodeError as error:  # JSON can spell halves of characters
        raise CaptionsError(
            f"row {number} of {path} holds {error.object[error.start]!r}, half a character"
        ) from None
    label = next((record[name] for name in LABEL if name in record), None)
    truth = str("" if label is None else label).strip().lower().removesuffix(".0")
    if truth not in _TRUTH:
        raise CaptionsError(
            f"row {number} of {path} has the label {label!r}, expected 1, true, 0, false or nothing"
        )
    family = record.get("family")
    return prompt, _TRUTH[truth], None if family in (None, "") else str(family)


def _text(path: Path) -> Records:
    for number, line in _lines(path):
        if line.strip():
            yield number, {"prompt": line}


def _json_lines(path: Path) -> Records:
    for number, line in _lines(path):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            raise CaptionsError(f"line {number} of {path} is no JSON: {error}") from None
        if not isinstance(record, dict):
            raise CaptionsError(f"line {number} of {path} is {line[:40]!r}, expected an object in braces")
        yield number, record


def _delimited(delimiter: str) -> Callable[[Path], Records]:
    def rows(path: Path) -> Records:
        text = (line + "\n" for _, line in _lines(path))
        reader = csv.DictReader(text, delimiter=delimiter)
        try:
            for number, record in enumerate(reader, start=1):
                yield number, {(name or "").strip(): value for name, value in record.items()}
        except csv.Error as error:
            raise CaptionsError(f"line {reader.line_num + 1} of {path} cannot be read: {error}") from None

    return rows


def _parquet(path: Path) -> Records:
    try:
        with parquet.ParquetFile(path) as file:
            wanted = [name for name in file.schema_arrow.names if name in (*PROMPT, *LABEL, "family")]
            number = 0
            for batch in file.iter_batches(columns=wanted):
                for record in batch.to_pylist():
                    number += 1
                    yield number, record
    except (pa.ArrowException, OSError) as error:
        raise CaptionsError(f"{path} cannot be read as parquet: {error}") from None


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines without their ends, one at a time; only the line feed ends one."""
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            try:
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise CaptionsError(
                    f"line {number} of {path} is not UTF-8 (byte {raw[error.start]:#04x} at {error.start}); "
                    f"convert it, for instance: iconv -f latin1 -t utf-8 {path.name} > prompts.txt"
                ) from None
            yield number, line.removesuffix("\n").removesuffix("\r")


_READERS = {
    ".txt": _text,
    ".csv": _delimited(","),
    ".tsv": _delimited("\t"),
    ".jsonl": _json_lines,
    ".parquet": _parquet,
}
