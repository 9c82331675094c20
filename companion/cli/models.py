"""Training of the checkpoints that ship."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from companion.cli.program import app
from companion.experiment.runs import build_folder
from memlib.cli.program import console


@app.command()
def train(
    checkpoint: Annotated[
        str, typer.Argument(metavar="CHECKPOINT", help="Name of a checkpoint; leave out for a list.")
    ] = "",
    to: Annotated[
        Path | None,
        typer.Option(help="Folder; default: build/checkpoints/CHECKPOINT. Training resumes there."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Train a checkpoint from its recipe, anew if it ships.

    Call it again after an interruption and it goes on where it was. For example:

    - `companion train`
    - `companion train two_modes`
    - `companion train mnist_copies --to data/checkpoints/mnist_copies` replaces the one that ships
    """
    # These bring torch, which the other commands do without.
    from companion.recipes.catalogue import RECIPES
    from memlib import checks

    if checkpoint not in RECIPES:
        table = Table("checkpoint", "steps", "took", "on", "what")
        for name, recipe in RECIPES.items():
            took, where = "", "does not ship"
            if recipe.ships:
                card = recipe.load().card
                took = f"{card['seconds'] / 60:.0f} min"
                where = f"{card['machine']['device']}, {card['machine']['threads']} threads"
            table.add_row(name, str(recipe.training.steps), took, where, recipe.about)
        console.print(table)
        if checkpoint:
            raise ValueError(f"no checkpoint is called {checkpoint!r}; choose one of {', '.join(RECIPES)}")
        return
    folder = to or build_folder() / "checkpoints" / checkpoint
    RECIPES[checkpoint].train(folder, device=checks.device(device))
    console.print(str(folder))
