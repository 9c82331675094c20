"""The program: one app for all commands, errors that are told plainly, and the options they share."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from memlib import __version__
from memlib.experiment.runs import RunError

app = typer.Typer(
    name="memlib",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
console = Console(soft_wrap=True)
complain = Console(stderr=True, soft_wrap=True, highlight=False)

PresetName = Annotated[
    str, typer.Option("--preset", help="Preset with the parameters; see `memlib presets`.")
]
Build = Annotated[Path | None, typer.Option("--build", help="Build folder; default: build/ of the clone.")]


def main() -> None:
    """Entry point: errors a user can act on are printed plainly, with exit code 1."""
    with _plain_errors():
        app()


@contextmanager
def _plain_errors() -> Iterator[None]:
    try:
        yield
    except (ValueError, ImportError, FloatingPointError, RunError) as error:
        complain.print(f"[bold red]error:[/] {escape(str(error))}")
        sys.exit(1)


def _version(show: bool) -> None:
    if show:
        console.print(f"memlib {__version__}")
        raise typer.Exit


@app.callback()
def about(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Memorization in generative models, measured through the sharpness of their probability landscape.

    Start with `memlib notebooks`, look at one with `memlib parameters 02_gaussian_mixture`, and run it with
    other values: `memlib run 02_gaussian_mixture -p seed=1`.
    """
