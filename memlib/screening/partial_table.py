"""A table written piece by piece so that nothing finished is lost, and resumed without doubling a row.

Finished pieces lie in a folder beside the file they will become; each appears whole. When all are there they
are joined into the file, which does not depend on how the pieces were cut, and the folder goes.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
from filelock import FileLock, Timeout
from pyarrow import parquet

from memlib.files import whole, write_text
from memlib.screening.identity import differences

_SHOWN = 5  # differences in a message
_KEY = b"memlib"
_GROUP = 1 << 16  # rows of a row group
_NAME = re.compile(r"(\d{9})-(\d{9})\.parquet")


class OutputError(ValueError):
    """The output cannot be written, or belongs to something else."""


class PartialTable:
    """The pieces of one table.

    Args:
        out: the file to be.
        settings: everything, as JSON, that determines the content of the table.
        total: number of items; the table has the rows of each, in order.
        each: rows of an item.

    Use as a context; nobody else may write the same table meanwhile.
    """

    def __init__(self, out: Path, settings: Mapping[str, Any], total: int, each: int) -> None:
        self.out, self.settings, self.total, self.each = out, dict(settings), total, each
        self.folder = out.with_name(out.name + ".parts")
        self.done = 0

    @contextmanager
    def open(self, *, restart: bool = False) -> Iterator[PartialTable]:
        """Find what is finished.

        Args:
            restart: discard what is there, whatever it is.

        Raises:
            OutputError: what is there was made with other settings, somebody else is writing it, or the place
                cannot be written to.
        """
        lock = FileLock(self.out.with_name(f".{self.out.name}.lock"), timeout=0)
        try:
            if self.out.is_dir():
                raise OutputError(f"{self.out} is a folder, expected the name of a file to write")
            self.out.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout:
            raise OutputError(
                f"another process is writing {self.out}; wait for it or choose another name"
            ) from None
        except OSError as error:
            raise OutputError(
                f"{self.out} cannot be written: {_reason(error)}; choose another place"
            ) from error
        try:
            if restart:
                self._check_ours()
                self._discard()
            self._resume()
            try:
                yield self
            finally:
                if not self.done:  # a call that was refused at once stands in nobody's way
                    shutil.rmtree(self.folder, ignore_errors=True)
        finally:
            lock.release()
            Path(lock.lock_file).unlink(missing_ok=True)

    @property
    def finished(self) -> bool:
        """Whether the file is there."""
        return self.out.is_file()

    def note(self, key: str, value: Any) -> None:
        """Keep something beside the pieces that does not determine them."""
        self._write_plan({**self._plan().get("notes", {}), key: value})

    def noted(self, key: str) -> Any:
        """What was kept, or None."""
        return self._plan().get("notes", {}).get(key)

    def append(self, start: int, stop: int, rows: pa.Table) -> None:
        """Write the rows of items `start` to `stop`, the next ones.

        Raises:
            OutputError: they cannot be written; what was finished before is kept.
        """
        if start != self.done or len(rows) != (stop - start) * self.each:
            raise ValueError(
                f"expected {self.each} rows for each item from {self.done} on, "
                f"got {len(rows)} for {start} to {stop}"
            )

        with self.writing(), whole(self.folder / f"{start:09d}-{stop:09d}.parquet") as temporary:
            parquet.write_table(rows, temporary)
            _flush(temporary)
        self.done = stop

    def join(self, schema: pa.Schema) -> None:
        """Make the file of the pieces, and remove them."""
        if self.done != self.total:
            raise ValueError(f"{self.done} of {self.total} items are finished")
        with self.writing():
            _write(self.out, schema, self.settings, self._pieces())
        shutil.rmtree(self.folder, ignore_errors=True)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Turn what the system says against writing into an error that says what is kept."""
        try:
            yield
        except OSError as error:
            raise OutputError(
                f"{self.out} cannot be written: {_reason(error)}. {self.done} of {self.total} prompts are "
                f"finished and kept in {self.folder}; make room and call the same again"
            ) from error

    def _resume(self) -> None:
        if self.finished:
            self._compare(self._check_ours(), self.out)
            shutil.rmtree(self.folder, ignore_errors=True)  # left by a kill right after joining
            self.done = self.total
            return
        plan, some = self._plan(), any(self.folder.glob("[0-9]*.parquet"))
        if plan and some:
            self._compare(plan["settings"], self.folder)
        else:
            self._discard()
            self._write_plan({})
        found = [(_NAME.fullmatch(path.name), path) for path in self.folder.iterdir()]
        known = {int(name[1]): (int(name[2]), path) for name, path in found if name}
        while self.done in known and self._readable(*known[self.done], self.done):
            self.done = known[self.done][0]
        for start, (_, path) in known.items():
            if start >= self.done:
                path.unlink()

    def _readable(self, stop: int, path: Path, start: int) -> bool:
        try:
            return int(parquet.read_metadata(path).num_rows) == (stop - start) * self.each and stop > start
        except (pa.ArrowException, OSError):
            return False

    def _check_ours(self) -> Mapping[str, Any]:
        """The settings of the file; never touch one that somebody else made."""
        found = settings_of(self.out) if self.finished else {}
        if found is None:
            raise OutputError(f"{self.out} exists and is no result of this command; choose another name")
        return found

    def _compare(self, found: Mapping[str, Any], where: Path) -> None:
        if found == self.settings:
            return
        changes = differences(found, self.settings)
        more = f" and {len(changes) - _SHOWN} more" if len(changes) > _SHOWN else ""
        raise OutputError(
            f"{where} was made with other settings, different in {'; '.join(changes[:_SHOWN])}{more}; "
            "repeat those, choose another name, or discard it with --restart"
        )

    def _pieces(self) -> Iterator[pa.Table]:
        # By name, since a kill leaves the hidden half of another beside them.
        for path in sorted(self.folder.iterdir()):
            if _NAME.fullmatch(path.name):
                yield parquet.read_table(path)

    def _plan(self) -> dict[str, Any]:
        try:
            plan: dict[str, Any] = json.loads((self.folder / "plan.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return {}
        return plan

    def _write_plan(self, notes: dict[str, Any]) -> None:
        with self.writing():
            write_text(
                self.folder / "plan.json", json.dumps({"settings": self.settings, "notes": notes}, indent=1)
            )

    def _discard(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.out.unlink(missing_ok=True)


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


def settings_of(path: Path) -> Any:
    """The settings in the metadata of a file; None for one of another origin."""
    try:
        return json.loads((parquet.read_schema(path).metadata or {}).get(_KEY, b"null"))
    except (pa.ArrowException, OSError, ValueError):
        return None


def _write(path: Path, schema: pa.Schema, settings: Mapping[str, Any], pieces: Iterator[pa.Table]) -> None:
    """Join pieces, read one after the other; the bytes do not depend on how the rows were cut into them."""
    described = schema.with_metadata({_KEY: json.dumps(settings, sort_keys=True)})
    with whole(path) as temporary:
        with parquet.ParquetWriter(temporary, described) as writer:
            for group in _regrouped(pieces):
                writer.write_table(group.cast(described))
        _flush(temporary)


def _flush(path: Path) -> None:
    """Have the system write a file before its name is changed, so that no crash leaves it empty."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _regrouped(pieces: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in tables of one size, the last one shorter."""
    held: list[pa.Table] = []
    rows = 0
    for piece in pieces:
        held.append(piece)
        rows += len(piece)
        while rows >= _GROUP:
            joined = pa.concat_tables(held).combine_chunks()
            yield joined.slice(0, _GROUP)
            held, rows = [joined.slice(_GROUP)], rows - _GROUP
    if rows:
        yield pa.concat_tables(held).combine_chunks()
