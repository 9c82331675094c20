"""Executes a notebook: checks its parameters, runs papermill, publishes the run if it succeeded."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any

from companion.experiment import names, notebooks, parameters, results
from companion.experiment.context import Context
from companion.experiment.runs import LOG, NOTEBOOK, Place, build_folder

LONGEST_SOCKET_FOLDER = 70
"""Characters; with `/memlib-xxxxxxxx/kernel-5` a socket's path must stay below 104 (macOS) or 108 (Linux)."""


def execute(
    notebook: Path,
    overrides: Mapping[str, Any],
    *,
    run: str,
    preset: str = "",
    build: Path | None = None,
    timeout: int | None = None,
    strict: bool = True,
) -> results.Results:
    """Run a notebook and return its validated results, which then lie in `build/runs/NOTEBOOK/RUN`.

    Args:
        notebook: A text notebook.
        overrides: Parameters that differ from the notebook's defaults.
        run: Name of the run and of its folder.
        preset: Name of the preset that the overrides come from, for the record.
        build: Build folder; by default `build/` of the clone.
        timeout: Seconds without any progress after which the run is taken to hang and is ended; None for no
            limit. See `companion.experiment.watch`.
        strict: Whether the run fails if a check of the notebook does not hold; else that is recorded.

    Raises:
        ValueError: Parameters are unknown, missing, ill-typed or out of range. Nothing has
            run or changed then.
        RunError: The notebook raised, hung, died, or left no valid results.
    """
    values = parameters.check(parameters.read(notebook), overrides)
    if "output" in overrides:
        raise ValueError("output cannot be given here: the driver chooses the folder; name the run instead")
    names.checked(run)
    place = Place((build or build_folder()).resolve(), notebook.stem, run)
    context = Context(run=run, preset=preset, output=place.partial, source=notebook.resolve(), strict=strict)
    with place.exclusive():
        place.begin()
        try:
            _papermill(dict(overrides), context, timeout)
            found = _validated(place, values)
        except BaseException as error:
            raise place.fail(error) from error
        place.publish()
    return found


def _papermill(overrides: dict[str, Any], context: Context, timeout: int | None) -> None:
    """Execute with papermill, which saves after every cell; a log goes beside the notebook."""
    import papermill  # only one who executes notebooks needs it
    from traitlets.config import Config  # comes with papermill

    from companion.experiment import engine
    from companion.experiment.watch import Watch

    output, watch = context.output / NOTEBOOK, Watch(timeout)
    # TQDM_DISABLE: progress bars would fill the page with the machine's paths and escape codes.
    variables = {"TQDM_DISABLE": "1", **context.environment()}
    with _log(context.output / LOG), _environment(variables), _sockets() as kernel:
        try:
            papermill.execute_notebook(
                notebooks.read(context.source),
                str(output),
                overrides,
                engine_name=engine.NAME,
                kernel_name="python3",
                cwd=str(context.source.parent),
                progress_bar=False,
                log_output=True,
                watch=watch,
                config=Config({"KernelManager": kernel}),
            )
        except Exception as error:
            if watch.stalled:
                raise watch.error() from error
            raise
    notebooks.forget_paths(output)


@contextmanager
def _sockets() -> Iterator[dict[str, str]]:
    """Where a kernel is to be talked to, as settings of jupyter's `KernelManager`.

    Sockets in a folder of their own, not TCP ports (nor sockets in the current folder, the default of this
    transport): kernels started side by side cannot meet on one, and nobody else can connect. The system
    allows names of a hundred characters or so; where no folder is short enough, the kernel listens on ports
    of this machine, and messages are signed with the key of the connection.
    """
    wanted = [gettempdir(), os.environ.get("XDG_RUNTIME_DIR", ""), "/tmp", "/var/tmp"]  # noqa: S108 - mkdtemp's
    for parent in filter(None, wanted):
        if len(os.fsencode(parent)) > LONGEST_SOCKET_FOLDER:
            continue
        try:
            folder = TemporaryDirectory(prefix="memlib-", dir=parent)
        except OSError:
            continue  # not there, or not ours to write to
        with folder as name:
            yield {"transport": "ipc", "ip": str(Path(name) / "kernel")}
        return
    yield {"transport": "tcp"}


def _validated(place: Place, values: Mapping[str, Any]) -> results.Results:
    """The results the notebook left, once they are seen to be of this notebook with these parameters."""
    found = results.load(place.partial)
    expected = {name: value for name, value in values.items() if name != "output"}
    if (found.notebook, found.parameters) != (place.notebook, expected):
        raise ValueError(
            f"the results are of {found.notebook} with {found.parameters}, "
            f"expected {place.notebook} with {expected}; "
            "the notebook must call experiment.start with its own name, before it changes any parameter"
        )
    return found


@contextmanager
def _log(path: Path) -> Iterator[None]:
    """Send papermill's messages, and the notebook's output with them, to a file for the length of a block."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("papermill")
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate
        handler.close()


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables, which kernels inherit, for the length of a block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
