"""The program: one app for all commands, errors that are reported plainly, and the options they share."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from typer.core import TyperGroup

from memlib import __version__

MOVED = frozenset(
    {"check-book", "claims", "convert", "failures", "notebooks", "parameters", "presets", "results", "run"}
    | {"stage", "train"}
)
"""Commands of the book, which `companion` has now."""


RENAMED = {"trajectory": "num-inference-steps", "steps": "average-steps"}
"""Options by the names that they had, which still work."""


class Commands(TyperGroup):
    """The commands; one that has moved says where it is."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of this name."""
        if cmd_name in MOVED:
            raise ValueError(f"`memlib {cmd_name}` belongs to the book: type `companion {cmd_name}`")
        return super().get_command(ctx, cmd_name)


app = typer.Typer(
    name="memlib",
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "token_normalize_func": lambda name: RENAMED.get(name, name),
    },
)
console = Console(soft_wrap=True)
complain = Console(stderr=True, soft_wrap=True, highlight=False)


def main() -> None:
    """Entry point: errors a user can act on are printed plainly, with exit code 1."""
    with plain_errors():
        app()


@contextmanager
def plain_errors(*others: type[Exception]) -> Iterator[None]:
    """Print errors that a user can act on, `others` among them, without a traceback; exit code 1."""
    expected: tuple[type[Exception], ...] = (ValueError, ImportError, FloatingPointError, *others)
    try:
        yield
    except expected as error:
        complain.print(f"[bold red]error:[/] {escape(str(error))}")
        sys.exit(1)


def show_version(show: bool) -> None:
    """Print the version and leave."""
    if show:
        console.print(f"memlib {__version__}")
        raise typer.Exit


@app.callback()
def about(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """What has an image model memorized? Measured through the sharpness of its probability landscape.

    Rank prompts by how memorized they look with `memlib detect`; make their images, also with a method
    against copies, with `memlib generate`. The book that comes with the package is run by `companion`.
    """
