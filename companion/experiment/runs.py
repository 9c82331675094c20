"""The folders of a run, and what happens to them.

A run is made in a hidden folder beside its final one and renamed into place at the end, so
`build/runs/NOTEBOOK/RUN` exists if and only if the latest attempt at it succeeded. The earlier good run is
set aside meanwhile.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from companion.experiment import names
from companion.experiment.results import FILE
from companion.paths import project_root
from memlib.files import write_text

NOTEBOOK = "notebook.ipynb"
LOG = "log.txt"
MESSAGE = "message.txt"
ERROR_LINES = 20
"""Lines of the scheduler's log that are shown."""


class RunError(RuntimeError):
    """A notebook did not finish; the message says why, and where its partial output and log are."""


def build_folder() -> Path:
    """Where everything made from this clone goes."""
    return project_root() / "build"


@dataclass(frozen=True)
class Place:
    """The folders of one run of one notebook below a build folder."""

    build: Path
    notebook: str
    run: str

    def __post_init__(self) -> None:
        names.as_file("notebook", self.notebook)
        names.as_file("run", self.run)

    @property
    def final(self) -> Path:
        """Holds the run once it has succeeded."""
        return self.build / "runs" / self.notebook / self.run

    @property
    def partial(self) -> Path:
        """Holds the run while it is under way."""
        return self.final.with_name(f".{self.run}.partial")

    @property
    def earlier(self) -> Path:
        """Holds the earlier good run from the start of an attempt until one succeeds."""
        return self.final.with_name(f".{self.run}.earlier")

    @property
    def failed(self) -> Path:
        """Holds what the latest attempt left if it failed; only a success of the same run removes it."""
        return self.build / "failed" / self.notebook / self.run

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """One attempt at a time; the lock goes with the process that holds it.

        Raises:
            ValueError: another process holds the run.
        """
        self.final.parent.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.final.with_name(f".{self.run}.lock"), timeout=0):
                yield
        except Timeout:
            raise ValueError(
                f"run {self.run!r} of {self.notebook} is under way in another process; "
                "wait for it or name another run"
            ) from None

    def begin(self) -> None:
        """Make an empty folder for an attempt, and set the earlier good run aside."""
        shutil.rmtree(self.partial, ignore_errors=True)
        self.partial.mkdir()
        if (self.final / FILE).is_file():
            shutil.rmtree(self.earlier, ignore_errors=True)
            self.final.rename(self.earlier)
        # Snakemake has removed the results it wants anew and made their folder: what is left is no run.
        shutil.rmtree(self.final, ignore_errors=True)

    def publish(self) -> None:
        """The attempt succeeded: it becomes the run, and what it replaces goes."""
        self.partial.rename(self.final)
        shutil.rmtree(self.earlier, ignore_errors=True)
        shutil.rmtree(self.failed, ignore_errors=True)

    def fail(self, error: BaseException) -> RunError:
        """The attempt failed: keep what it left where no book is built from; return an error saying where."""
        shutil.rmtree(self.failed, ignore_errors=True)
        self.failed.parent.mkdir(parents=True, exist_ok=True)
        self.partial.rename(self.failed)
        (self.failed / FILE).unlink(missing_ok=True)
        with (self.failed / LOG).open("a", encoding="utf-8") as log:
            log.write(f"\n{type(error).__name__}: {_plain(str(error))}\n")
        message = self._message(error)
        write_text(self.failed / MESSAGE, message + "\n")
        return RunError(message)

    def _message(self, error: BaseException) -> str:
        kind, lines = type(error).__name__, _plain(str(error)).strip().splitlines() or [""]
        # The last line of a traceback is the error itself; of other errors the first says most.
        reason = lines[-1] if "Traceback" in str(error) or len(lines) == 1 else lines[0]
        parts = [f"{self.notebook} (run {self.run}) failed: {kind}: {reason}"]
        parts += [f"  {what}: {path}" for what, path in self._left() if path.exists()]
        return "\n".join(parts)

    def _left(self) -> list[tuple[str, Path]]:
        return [
            ("partial notebook", self.failed / NOTEBOOK),
            ("log", self.failed / LOG),
            ("earlier good run, set aside", self.earlier),
        ]


def failures(build: Path, since: float = 0.0) -> list[str]:
    """Messages of all runs below `build` whose latest attempt failed, and did so after `since`.

    `since` is in seconds since 1970.
    """
    found = sorted(build.glob(f"failed/*/*/{MESSAGE}"))
    return [path.read_text(encoding="utf-8").strip() for path in found if path.stat().st_mtime >= since]


def scheduler_errors(root: Path, since: float) -> list[str]:
    """What Snakemake's latest log below `root` says of errors, and where it is; empty if there is none.

    For the case that a job of the pipeline died before its run began: with a job scheduler, for example.
    """
    logs = [path for path in root.glob(".snakemake/log/*.log") if path.stat().st_mtime >= since]
    if not logs:
        return []
    latest = max(logs, key=lambda path: path.stat().st_mtime)
    lines = _plain(latest.read_text(encoding="utf-8", errors="replace")).splitlines()
    first = next(
        (k for k, line in enumerate(lines) if re.search(r"error|exception", line, re.IGNORECASE)), None
    )
    if first is None:
        return []
    return [*lines[first : first + ERROR_LINES], f"whole log of the scheduler: {latest}"]


def _plain(text: str) -> str:
    """Text without the colours that IPython puts into tracebacks."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)
