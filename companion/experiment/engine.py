"""How papermill executes a notebook here: with a watch on the kernel and without limits on a clock."""

from __future__ import annotations

from typing import Any

from nbformat import NotebookNode
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import Engine, papermill_engines
from papermill.log import logger

from companion.experiment.watch import Watch

NAME = "memlib"
PATIENCE = 3600
"""Seconds for the start of a kernel, and for the last output of a cell; one that dies is noticed at once."""


class WatchedClient(PapermillNotebookClient):  # type: ignore[misc]
    """Tells the watch what the kernel says and which cell is under way."""

    def __init__(self, manager: Any, watch: Watch, **options: Any) -> None:
        # Output that is late, on a busy machine, is no reason to lose a run.
        super().__init__(manager, raise_on_iopub_timeout=False, iopub_timeout=PATIENCE, **options)
        self.watch = watch

    def process_message(self, *arguments: Any, **options: Any) -> Any:
        """Handle a message of the kernel."""
        self.watch.saw_output()
        return super().process_message(*arguments, **options)

    def papermill_execute_cells(self) -> None:
        """Execute all cells, watched."""
        with self.watch.over(self.km.provisioner.pid):
            super().papermill_execute_cells()

    def execute_cell(self, cell: NotebookNode, cell_index: int, **options: Any) -> Any:
        """Execute one cell."""
        self.watch.cell = cell_index + 1
        return super().execute_cell(cell, cell_index, **options)


class WatchedEngine(Engine):  # type: ignore[misc]
    """papermill's engine with a watched client."""

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **options: Any) -> Any:
        """Execute the notebook that `nb_man` holds."""
        passed = {name: options[name] for name in ("watch", "log_output", "config") if name in options}
        return WatchedClient(
            nb_man, kernel_name=kernel_name, startup_timeout=PATIENCE, log=logger, **passed
        ).execute()


papermill_engines.register(NAME, WatchedEngine)
