"""`memlib audit`: what has my fine-tuned model memorized?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from memlib.cli import options
from memlib.cli.program import app, complain, console

_of_data = options.in_panel("Training set, prompts, images")

Base = Annotated[
    str,
    options.of_model("--base", "What the model was fine-tuned from. Without it captions that say much of the "
        "image are mistaken for memorized ones."),
]  # fmt: skip
Training = Annotated[
    Path | None,
    _of_data("--training", "Folder of training images with captions: metadata.jsonl or metadata.csv "
        "(file_name, text), or a .txt beside each image. Without it no image can be verified."),
]  # fmt: skip
Captions = Annotated[
    Path | None,
    _of_data("--captions", "Table of image files and captions, where the training folder has none."),
]
Calibration = Annotated[
    Path | None,
    _of_data("--calibration", "Captions of the same kind whose images were not trained on, for p-values "
        "and the list."),
]  # fmt: skip
Prompts = Annotated[Path | None, _of_data("--prompts", "Prompts to screen beyond the training captions.")]
ImageFolder = Annotated[
    Path | None,
    _of_data("--images", "Folder of images without prompts: does the model know them? Needs --held-out."),
]
HeldOut = Annotated[
    Path | None,
    _of_data("--held-out", "Folder of images that the model has not seen: they say what counts as a copy, "
        "and how well images without prompts are known by chance."),
]  # fmt: skip
Encoder = Annotated[
    Path | None,
    options.of_run("--encoder", "Folder of a vision model of transformers, such as DINOv2, in whose features "
        "images are compared, too."),
]  # fmt: skip
AverageSteps = Annotated[
    int, options.of_run("--average-steps", "First steps at which statistics are taken and averaged.", min=1)
]
Rate = Annotated[float, options.of_run("--rate", "False discovery rate of the list.", min=0.001, max=0.5)]
Pooled = Annotated[bool, options.of_run("--pooled", "Compare with harmless captions of all families.")]
Suspicious = Annotated[
    int, options.of_run("--suspicious", "Most suspicious captions that get images, beside the list.", min=1)
]
Random = Annotated[
    int, options.of_run("--random", "Captions drawn from the others, whose images are generated too.", min=0)
]
Mitigate = Annotated[
    bool, options.of_run("--try-mitigations", "Show what every mitigation does about the ten worst captions.")
]
Out = Annotated[Path, options.of_output("--out", "Folder for the report.")]


@app.command()
def audit(
    *,
    model: options.Model,
    base: Base = "",
    device: options.Device = "auto",
    dtype: options.Dtype = "float32",
    vae_dtype: options.VaeDtype = "auto",
    variant: options.Variant = "",
    revision: options.Revision = "",
    lora: options.Lora = "",
    config: options.Config = "",
    training: Training = None,
    captions: Captions = None,
    calibration: Calibration = None,
    prompts: Prompts = None,
    images: ImageFolder = None,
    held_out: HeldOut = None,
    seeds: options.Seeds = 4,
    first_seed: options.FirstSeed = 0,
    average_steps: AverageSteps = 1,
    rate: Rate = 0.1,
    pooled: Pooled = False,
    suspicious: Suspicious = 20,
    random: Random = 40,
    try_mitigations: Mitigate = False,
    encoder: Encoder = None,
    num_inference_steps: options.NumInferenceSteps = 50,
    guidance: options.Guidance = 7.5,
    batch: options.Batch = 0,
    restart: options.Restart = False,
    out: Out,
) -> None:
    """Find out which training images a fine-tuned model gives back, and write a report.

    Every caption is screened at its first sampling steps against the base model; then images are generated
    for the most suspicious captions and for some drawn at random, and held against the training images. For
    example:

    - `memlib audit --model ./my-fine-tune --base ./what-it-began-from --training ./images --out report`
    - `memlib audit --model my-lora.safetensors --base CompVis/stable-diffusion-v1-4 --training ./images
      --captions captions.csv --calibration harmless.txt --try-mitigations --device cuda --out report`
    - `memlib audit --model ./my-fine-tune --images ./generated --held-out ./others --out report`

    The folder gets `report.html` to read, `report.json` for programs, `values.parquet` with every value, and
    the images. An interrupted call is resumed by the same call.
    """
    options.require_extras()
    from memlib.audit import Audit, Encoder, Settings, pair, training_set
    from memlib.screening import prompt_files

    if captions is not None and training is None:
        raise ValueError("--captions says what the images of --training show, which is missing")
    examples = [] if training is None else training_set.read(training, captions)
    shown, unseen = ({} if path is None else training_set.below(path) for path in (images, held_out))
    harmless, more = (None if path is None else prompt_files.read(path) for path in (calibration, prompts))
    source, upon, settled = pair.sources(model, base, lora, config)
    loaded = options.load_model(source, device, dtype, revision, variant, vae_dtype, upon, settled)
    its = revision if source == base else ""
    begun = options.load_model(base, device, dtype, its, variant, vae_dtype) if base else None
    if upon:
        loaded.source = f"{source} with {upon}"
    given = Settings(
        seeds, first_seed, average_steps, num_inference_steps, guidance, rate, suspicious, random,
        mitigate=try_mitigations, pooled=pooled,
    )  # fmt: skip
    seen_by = None if encoder is None else Encoder(encoder, loaded.device)
    done = Audit(loaded, begun, examples, harmless, more, given, shown, unseen, seen_by)
    try:
        found = done.run(out, rows=batch or None, restart=restart, progress=True)
    except KeyboardInterrupt as stop:
        complain.print(f"stopped: {stop}")
        raise typer.Exit(130) from None
    for sentence in found.verdict:
        console.print(sentence, highlight=False)
    console.print(str(out / "report.html"), highlight=False)
