"""Executes a notebook: checks its parameters, runs papermill, publishes the run if it succeeded."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from companion.experiment import notebooks, parameters, results
from companion.experiment.context import Context
from companion.experiment.runs import LOG, NOTEBOOK, Place, build_folder


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
        timeout: Seconds one cell may take; None for no limit.
        strict: Whether the run fails if a check of the notebook does not hold; else that is recorded.

    Raises:
        ValueError: Parameters are unknown, missing, ill-typed or out of range. Nothing has
            run or changed then.
        RunError: The notebook raised, ran out of time, died, or left no valid results.
    """
    values = parameters.check(parameters.read(notebook), overrides)
    if "output" in overrides:
        raise ValueError("output cannot be given here: the driver chooses the folder; name the run instead")
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

    output = context.output / NOTEBOOK
    # TQDM_DISABLE: progress bars would fill the page with the machine's paths and escape codes.
    variables = {"TQDM_DISABLE": "1", **context.environment()}
    with _log(context.output / LOG), _environment(variables), TemporaryDirectory(prefix="memlib-") as sockets:
        # Sockets in a folder of their own, not TCP ports (nor sockets in the current folder, the default
        # of this transport): kernels started side by side cannot meet on one, and nobody else can connect.
        kernel = {"transport": "ipc", "ip": str(Path(sockets) / "kernel")}
        papermill.execute_notebook(
            notebooks.read(context.source),
            str(output),
            overrides,
            kernel_name="python3",
            cwd=str(context.source.parent),
            progress_bar=False,
            log_output=True,
            execution_timeout=timeout,
            config=Config({"KernelManager": kernel}),
        )
    notebooks.forget_paths(output)


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
