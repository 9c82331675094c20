"""The program `companion`: one app for the commands of the book, and the options they share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from companion.experiment.runs import RunError
from memlib.cli.program import plain_errors, show_version

app = typer.Typer(
    name="companion",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

PresetName = Annotated[
    str, typer.Option("--preset", help="Preset with the parameters; see `companion presets`.")
]
Build = Annotated[Path | None, typer.Option("--build", help="Build folder; default: build/ of the clone.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for a program.")]


def main() -> None:
    """Entry point: errors a user can act on are printed plainly, with exit code 1."""
    with plain_errors(RunError):
        app()


@app.callback()
def about(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """The book on memorization and sharpness: run its notebooks, read their results, train its models.

    Start with `companion notebooks`, look at one with `companion parameters 02_gaussian_mixture`, and run it
    with other values: `companion run 02_gaussian_mixture -p seed=1`.

    To study a model of your own there is `memlib`.
    """
