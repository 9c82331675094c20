"""Files of prompts: plain lines or tables, with any characters, read strictly into one table.

Nothing is dropped, joined or guessed: what a file does not say plainly is an error that names the line.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import json
import shlex
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

PROMPT = ("prompt", "caption", "text")
"""Names that the column of prompts may have; a file has one of them."""
LABEL = ("label", "memorized")
"""Names that the column may have which says what prompts are memorized; a file has at most one of them."""
SCHEMA = pa.schema([("prompt", pa.string()), ("label", pa.bool_()), ("family", pa.string())])
_TRUTH = {"1": True, "true": True, "0": False, "false": False, "": None, "none": None}
_MARKS = {  # the longer ones first: that of UTF-32 begins as that of UTF-16 does
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# Which of four bytes are zero in plain letters; the wider encodings first, whose letters fit the others too.
_ZEROS = {"utf-32le": (2, 3), "utf-32be": (0, 1), "utf-16le": (1, 3), "utf-16be": (0, 2)}

_SIGNS = {",": "a comma", "\t": "a tab"}

Records = Iterator[tuple[str, dict[str, Any]]]


class PromptFileError(ValueError):
    """A file of prompts cannot be read."""


def read(path: Path) -> pa.Table:
    """The prompts of a file, in its order, with labels and families where it has them.

    `.txt` holds one prompt a line. `.csv`, `.tsv`, `.jsonl` and `.parquet` have one column named "prompt",
    "caption" or "text" and may have "label" (or "memorized": 1, true, 0, false or empty) and "family"; other
    columns are not read. Blank lines are left out. Text is UTF-8, with or without a mark at its beginning.

    Returns:
        A table of `SCHEMA`; labels and families that the file does not have are null.

    Raises:
        PromptFileError: naming the line, or the row of a parquet file, for what cannot be read or can be read
            in two ways.
    """
    columns: dict[str, list[Any]] = {name: [] for name in SCHEMA.names}
    for place, record in records(path):
        for name, value in zip(SCHEMA.names, _fields(place, record), strict=True):
            columns[name].append(value)
    if not columns["prompt"]:
        raise PromptFileError(
            f"{path} holds no prompt; expected one a line, or a row for each below a header"
        )
    return pa.table(columns, SCHEMA)


def records(path: Path) -> Records:
    """What a file says, row by row: where that stands, such as "line 3 of a.csv", and its values by column.

    Those of a line of `.txt` are `{"prompt": line}`.

    Raises:
        PromptFileError: a file that is missing, of another kind, of another encoding or broken.
    """
    if not path.is_file():
        raise PromptFileError(f"there is no file of prompts {path}")
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise PromptFileError(
            f"{path} is {path.suffix or 'without a suffix'}, expected {', '.join(_READERS)}"
        )
    yield from reader(path)


def with_reference(prompts: pa.Table, reference: pa.Table) -> pa.Table:
    """Both in one table, with a column `reference` that is true for the second: known not to be memorized."""
    flagged = [
        table.append_column("reference", pa.array([value] * len(table), pa.bool_()))
        for table, value in ((prompts, False), (reference, True))
    ]
    return pa.concat_tables(flagged)


def digest(prompts: pa.Table) -> str:
    """Hexadecimal sha256 of what a table of prompts says."""
    found = hashlib.sha256(json.dumps(prompts.column_names).encode())
    for batch in prompts.combine_chunks().to_batches(max_chunksize=4096):
        found.update(json.dumps(batch.to_pydict()).encode())
    return found.hexdigest()


def _fields(place: str, record: dict[str, Any]) -> tuple[str, bool | None, str | None]:
    key, label = (_only(place, record, names) for names in (PROMPT, LABEL))
    if key is None:
        has = ", ".join(record) or "none"
        raise PromptFileError(f"{place} has no column {', '.join(PROMPT[:-1])} or {PROMPT[-1]}; it has {has}")
    prompt, family, known = record[key], record.get("family"), None if label is None else record[label]
    if not isinstance(prompt, str) or not prompt.strip():
        raise PromptFileError(
            f"{place} has the {key} {prompt!r}, expected text; fill it in or remove the row"
        )
    if isinstance(family, bool) or not isinstance(family, str | int | None):
        raise PromptFileError(f"{place} has the family {family!r}, expected text")
    truth = str("" if known is None else known).strip().lower().removesuffix(".0")
    if truth not in _TRUTH:
        raise PromptFileError(f"{place} has the {label} {known!r}, expected 1, true, 0, false or nothing")
    return _plain(place, prompt), _TRUTH[truth], None if family in (None, "") else _plain(place, str(family))


def _only(place: str, record: dict[str, Any], names: tuple[str, ...]) -> str | None:
    """The one of these names that a record has, if it has any."""
    there = [name for name in names if name in record]
    if len(there) > 1:
        raise PromptFileError(f"{place} has the columns {' and '.join(there)}; remove or rename all but one")
    return there[0] if there else None


def _plain(place: str, text: str) -> str:
    """The text, or an error for what no eye sees and every tokenizer reads."""
    for character, name in (("\0", "a NUL character"), ("\ufeff", "a byte order mark")):
        if character in text:
            raise PromptFileError(f"{place} holds {name} within {text[:40]!r}; remove it")
    try:
        text.encode()
    except UnicodeEncodeError as error:  # JSON can spell halves of characters
        raise PromptFileError(f"{place} holds {error.object[error.start]!r}, half a character") from None
    return text


def _lines_of_text(path: Path) -> Records:
    for place, line in _lines(path):
        prompt = line.removesuffix("\r")
        if "\r" in prompt:
            raise PromptFileError(f"{place} holds a carriage return{_returns(path)}")
        if prompt.strip():
            yield place, {"prompt": prompt}


def _lines_of_json(path: Path) -> Records:
    for place, line in _lines(path):
        if not line.strip():
            continue
        try:
            pairs = json.loads(line, object_pairs_hook=tuple)
        except (ValueError, RecursionError) as error:
            raise PromptFileError(f"{place} is no JSON: {error}; expected an object a line") from None
        if not isinstance(pairs, tuple):
            raise PromptFileError(f"{place} is {line[:40]!r}, expected an object in braces")
        _refuse_repeated(place, [key for key, _ in pairs])
        yield place, dict(pairs)


def _delimited(delimiter: str) -> Callable[[Path], Records]:
    def rows(path: Path) -> Records:
        header: list[str] = []
        for place, values, text in _rows(path, delimiter):
            if not header:
                header = [name.strip() for name in values]
                _refuse_repeated(place, header)
                if "" in header[1:]:  # the first column of a table of pandas has none
                    raise PromptFileError(f"{place} leaves a column without a name; name or remove it")
                continue
            if len(values) != len(header):
                raise PromptFileError(
                    f"{place} has {len(values)} fields, the header {len(header)} ({', '.join(header)}); put "
                    f"a prompt with {_SIGNS[delimiter]} in double quotes, leave what is not known empty"
                )
            _refuse_ambiguous(place, values, text.split(",") if delimiter == "," else [])
            yield place, dict(zip(header, values, strict=True))

    return rows


def _rows(path: Path, delimiter: str) -> Iterator[tuple[str, list[str], str]]:
    """Where a row begins, its fields and its text; blank lines are left out."""
    places, lines = zip(*((place, f"{line}\n") for place, line in _lines(path)), strict=True)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while (began := reader.line_num) < len(lines):
        try:
            values = next(reader)
        except csv.Error as error:
            returns = _returns(path) if "\r" in lines[began].removesuffix("\n").removesuffix("\r") else ""
            raise PromptFileError(
                f"{places[began]} begins a row that cannot be read: {str(error).partition(' - ')[0]}; a "
                f"quoted field begins and ends with a quote, and one within it is written twice{returns}"
            ) from None
        if values:
            yield places[began], values, "".join(lines[began : reader.line_num]).rstrip("\r\n")


def _refuse_ambiguous(place: str, values: list[str], between_commas: list[str]) -> None:
    """Refuse what looks like the rest of a prompt with a comma, or like quotes that were meant otherwise."""
    for column, value in enumerate(values):
        if '\\"' in value:
            raise PromptFileError(f"{place} has a backslash before a quote; write the quote twice instead")
        if value in between_commas and ('"' in value or (column > 0 and value.startswith(" "))):
            raise PromptFileError(
                f"{place} has the field {value[:40]!r} without quotes around it; put a field that holds a "
                "comma or a quote in double quotes, its quotes written twice, or remove the leading space"
            )


def _refuse_repeated(place: str, names: list[str]) -> None:
    if repeated := [name for name, count in Counter(names).items() if count > 1]:
        raise PromptFileError(f"{place} names {repeated[0]!r} more than once; rename or remove one of them")


def _parquet(path: Path) -> Records:
    try:
        with parquet.ParquetFile(path) as file:
            _refuse_repeated(str(path), file.schema_arrow.names)
            row = 0
            for batch in file.iter_batches(batch_size=1024):
                for record in batch.to_pylist():
                    row += 1
                    yield f"row {row} of {path}", record
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise PromptFileError(f"{path} cannot be read as parquet: {error}") from None


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """Place and text of what stands before, between and after the line feeds of a file in UTF-8."""
    raw = path.read_bytes()
    if (encoding := _wide(raw)) is not None:
        raise PromptFileError(
            f"{path} is {encoding.upper()}, expected UTF-8; convert it: " + _iconv(path, encoding)
        )
    for number, line in enumerate(raw.split(b"\n"), start=1):
        place = f"line {number} of {path}"
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise PromptFileError(
                f"{place} is not UTF-8 (byte {line[error.start]:#04x} at {error.start}); find out what it is "
                f"and convert it, from Windows in western Europe for instance: {_iconv(path, 'cp1252')}"
            ) from None
        yield place, _plain(place, text)


def _wide(raw: bytes) -> str | None:
    """The encoding of a text whose characters take 2 or 4 bytes: by its mark, else by where its zeros are."""
    if marked := [name for mark, name in _MARKS.items() if raw.startswith(mark)]:
        return marked[0]
    zeros = [raw[place::4].count(0) for place in range(4)]
    fit = [name for name in _ZEROS if len(raw) % (4 if "32" in name else 2) == 0]
    explained = {name: sum(zeros[place] for place in _ZEROS[name]) for name in fit}
    likely = max(explained, key=lambda name: explained[name], default=None)
    return likely if likely is not None and 0 < len(raw) <= 8 * explained[likely] else None


def _iconv(path: Path, encoding: str) -> str:
    return _anew(path, f"iconv -f {encoding} -t utf-8")


def _returns(path: Path) -> str:
    turned = _anew(path, r"tr '\r' '\n'")
    return f"; if such returns alone end the lines of the file, write it anew: {turned}"


def _anew(path: Path, command: str) -> str:
    """A command that reads the file and writes another beside it."""
    return f"{command} < {shlex.quote(str(path))} > {shlex.quote(str(path.with_name(f'new-{path.name}')))}"


_READERS = {
    ".txt": _lines_of_text,
    ".csv": _delimited(","),
    ".tsv": _delimited("\t"),
    ".jsonl": _lines_of_json,
    ".parquet": _parquet,
}
