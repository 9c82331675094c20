"""`memlib audit`: what has my fine-tuned model memorized?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from memlib.cli import options
from memlib.cli.program import app, complain, console

_MODEL, _DATA, _RUN = "Model", "Training set and prompts", "Run"


@app.command()
def audit(
    *,
    model: options.Model,
    base: Annotated[
        str,
        typer.Option(
            "--base",
            help="What the model was fine-tuned from, folder or hub id. Without it captions that say much of "
            "the image are mistaken for memorized ones.",
            rich_help_panel=_MODEL,
        ),
    ] = "",
    device: options.Device = "auto",
    dtype: options.Dtype = "float32",
    vae_dtype: options.VaeDtype = "auto",
    variant: options.Variant = "",
    revision: options.Revision = "",
    training: Annotated[
        Path,
        typer.Option(
            "--training",
            help="Folder of training images with captions: metadata.jsonl or metadata.csv (file_name, text), "
            "or a .txt beside each image.",
            rich_help_panel=_DATA,
        ),
    ],
    captions: Annotated[
        Path | None,
        typer.Option(
            "--captions",
            help="Table of image files and captions, where the folder has none.",
            rich_help_panel=_DATA,
        ),
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(
            "--calibration",
            help="Captions of the same kind whose images were not trained on, for p-values and the list.",
            rich_help_panel=_DATA,
        ),
    ] = None,
    prompts: Annotated[
        Path | None,
        typer.Option(
            "--prompts", help="Prompts to screen beyond the training captions.", rich_help_panel=_DATA
        ),
    ] = None,
    seeds: options.Seeds = 4,
    first_seed: options.FirstSeed = 0,
    rate: Annotated[
        float,
        typer.Option(
            "--rate", min=0.001, max=0.5, help="False discovery rate of the list.", rich_help_panel=_RUN
        ),
    ] = 0.1,
    suspicious: Annotated[
        int,
        typer.Option(
            "--suspicious",
            min=1,
            help="Most suspicious captions whose images are generated, beside the list.",
            rich_help_panel=_RUN,
        ),
    ] = 20,
    random: Annotated[
        int,
        typer.Option(
            "--random",
            min=0,
            help="Captions drawn from the others, whose images are generated too.",
            rich_help_panel=_RUN,
        ),
    ] = 40,
    num_inference_steps: options.NumInferenceSteps = 50,
    guidance: options.Guidance = 7.5,
    batch: options.Batch = 0,
    restart: options.Restart = False,
    out: Annotated[Path, typer.Option("--out", help="Folder for the report.", rich_help_panel="Output")],
) -> None:
    """Find out which training images a fine-tuned model gives back, and write a report.

    Every caption is screened at its first sampling step against the base model; then images are generated
    for the most suspicious captions and for some drawn at random, and held against the training images. For
    example:

    - `memlib audit --model ./my-fine-tune --base ./what-it-began-from --training ./images --out report`
    - `memlib audit --model ./my-fine-tune --base CompVis/stable-diffusion-v1-4 --training ./images
      --calibration harmless.txt --seeds 8 --device cuda --out report`

    The folder gets `report.html` to read, `report.json` for programs, `values.parquet` with every value, and
    the images. An interrupted call is resumed by the same call.
    """
    options.require_extras()
    from memlib.audit import Audit, Settings, training_set
    from memlib.screening import prompt_files

    examples = training_set.read(training, captions)
    harmless, more = (None if path is None else prompt_files.read(path) for path in (calibration, prompts))
    loaded = options.load_model(model, device, dtype, revision, variant, vae_dtype)
    begun = options.load_model(base, device, dtype, "", variant, vae_dtype) if base else None
    settings = Settings(
        seeds=seeds,
        first_seed=first_seed,
        num_inference_steps=num_inference_steps,
        guidance=guidance,
        rate=rate,
        suspicious=suspicious,
        random=random,
    )
    done = Audit(loaded, begun, examples, harmless, more, settings)
    try:
        found = done.run(out, rows=batch or None, restart=restart, progress=True)
    except KeyboardInterrupt as stop:
        complain.print(f"stopped: {stop}")
        raise typer.Exit(130) from None
    for sentence in found.verdict:
        console.print(sentence, highlight=False)
    console.print(str(out / "report.html"), highlight=False)
