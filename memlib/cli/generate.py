"""`memlib generate`: images of prompts, under safe names."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from memlib.cli import options
from memlib.cli.program import app, console


@app.command()
def generate(
    model: options.Model,
    prompts: options.Prompts,
    out: Annotated[
        Path, typer.Option("--out", help="Folder for images and their table.", rich_help_panel="What")
    ],
    seeds: options.Seeds = 4,
    first_seed: options.FirstSeed = 0,
    trajectory: options.Trajectory = 50,
    guidance: options.Guidance = 7.5,
    device: options.Device = "auto",
    dtype: options.Dtype = "float32",
    batch: options.Batch = 0,
    revision: options.Revision = "",
    restart: options.Restart = False,
) -> None:
    """Generate images of prompts, several seeds each, with a table of what is what and a contact sheet.

    For example:

    - `memlib generate --model organism_epsilon --prompts mine.txt --out pictures`
    - `memlib generate --model ./my-pipeline --prompts mine.csv --seeds 16 --device cuda --out pictures`

    Image files are named by number and hash of the prompt and by seed; `images.parquet` and `images.csv` say
    which prompt that is, `sheet.png` shows the first. A seed gives the same start as in `memlib detect`. An
    interrupted call is resumed by the same call.
    """
    options.require_extras()
    from memlib.screening import Images, Screening, captions, gallery, guided, noises

    given = captions.read(prompts)
    loaded = options.load_model(model, device, dtype, revision)
    each = range(first_seed, first_seed + seeds)
    task = Images(loaded, noises(loaded, each), guided(trajectory, guidance))
    settings = {"command": "generate", "trajectory": trajectory, "guidance": guidance}
    screening = Screening(loaded, given, each, task, (), settings, gallery.pictures_of(out))
    options.go_through(screening, gallery.table_of(out), batch=batch, restart=restart)
    gallery.finish(out)
    console.print(str(out / "sheet.png"), highlight=False)
