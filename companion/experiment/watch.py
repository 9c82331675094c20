"""A kernel under watch: it is ended when it hangs, however long it works.

What counts is progress, not the clock: output, processor time, reading and writing, and waiting for a
processor that others use. A run on a busy machine, a slow cell and a suspended job go on; a cell that waits
for something that does not come is interrupted, so that its traceback says where.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

BUSY, RUNNABLE = 0.05, 0.5
"""Share of the time that a kernel uses, or a thread of it uses or waits for, when it computes.

One that only waits uses 0.01 at most."""

TRAFFIC = 2**16
"""Bytes a second that are read or written where a download or a file is under way."""

GRACE = 30.0
"""Seconds from the interrupt of a stalled kernel to its end."""


@dataclass(frozen=True)
class Usage:
    """What a process and those it started have used up to now.

    Attributes:
        processor: seconds of processor time.
        runnable: of each thread of the process itself, the seconds it ran or waited for a processor (Linux).
        traffic: bytes read and written (Linux).
        stopped: whether it is suspended from outside.
    """

    processor: float
    runnable: dict[str, float]
    traffic: int
    stopped: bool

    @classmethod
    def of(cls, process: psutil.Process) -> Usage:
        """What `process` has used. Raises `psutil.Error` if it is gone."""
        everyone = [process, *process.children(recursive=True)]
        spent, traffic = 0.0, 0
        for one in everyone:
            try:
                times = one.cpu_times()
                spent += times.user + times.system
                counters = one.io_counters() if hasattr(one, "io_counters") else None
                traffic += getattr(counters, "read_chars", 0) + getattr(counters, "write_chars", 0)
            except psutil.Error:
                continue  # it ended in between
        status = process.status()
        return cls(spent, _runnable(process.pid), traffic, status == psutil.STATUS_STOPPED)

    def lively(self, before: Usage, seconds: float) -> bool:
        """Whether something was done in the `seconds` since `before`."""
        longest = max(
            (spent - before.runnable.get(key, 0.0) for key, spent in self.runnable.items()), default=0
        )
        return (
            self.stopped
            or self.processor - before.processor >= BUSY * seconds
            or longest >= RUNNABLE * seconds
            or self.traffic - before.traffic >= TRAFFIC * seconds
        )


def _runnable(pid: int) -> dict[str, float]:
    """Seconds that each thread of a process has run or waited to run; empty where the system does not say."""
    found = {}
    for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        try:
            ran, waited, _ = path.read_text().split()
        except (OSError, ValueError):
            continue
        found[path.parent.name] = (int(ran) + int(waited)) / 1e9
    return found


@dataclass
class Watch:
    """Ends a kernel that has made no progress for `limit` seconds.

    Attributes:
        limit: seconds without progress; None never ends it.
        cell: number of the cell under way, from 1.
        stalled: whether the kernel was ended.
    """

    limit: float | None
    cell: int = 0
    stalled: bool = False
    _output: threading.Event = field(default_factory=threading.Event)
    _over: threading.Event = field(default_factory=threading.Event)

    def saw_output(self) -> None:
        """The kernel has said something."""
        self._output.set()

    @contextmanager
    def over(self, pid: int) -> Iterator[None]:
        """Watch a kernel for the length of a block."""
        thread = threading.Thread(target=self._watch, args=(pid,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def error(self) -> TimeoutError:
        """What to say of a kernel that was ended."""
        return TimeoutError(
            f"cell {self.cell} made no progress for {self.limit:g} s (no output, no processor time, nothing "
            "read or written) and was ended; if it waits for something that takes longer, allow more with "
            "--timeout SECONDS, or by `timeout` in the file of the preset"
        )

    def _watch(self, pid: int) -> None:
        if self.limit is None:
            return
        interval, idle = min(5.0, self.limit / 4), 0.0
        try:
            process = psutil.Process(pid)
            before, then = Usage.of(process), time.monotonic()
            while not self._over.wait(interval):
                now, usage = time.monotonic(), Usage.of(process)
                alive = usage.lively(before, now - then) or self._output.is_set()
                # A watch that was itself kept waiting has not seen that nothing happened meanwhile.
                idle = 0.0 if alive else idle + min(now - then, 2 * interval)
                self._output.clear()
                before, then = usage, now
                if idle >= self.limit:
                    self._end(pid)
                    return
        except psutil.Error:
            return  # the kernel is gone, which nbclient notices

    def _end(self, pid: int) -> None:
        self.stalled = True
        for number in (signal.SIGINT, signal.SIGKILL):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                return
            if self._over.wait(GRACE):
                return
