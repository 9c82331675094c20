"""`memlib generate`: images of prompts, under safe names, also with a mitigation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from memlib.cli import mitigate_options as mitigation
from memlib.cli import options
from memlib.cli.program import app, console


@app.command()
def generate(
    *,
    model: options.Model,
    device: options.Device = "auto",
    dtype: options.Dtype = "float32",
    vae_dtype: options.VaeDtype = "auto",
    variant: options.Variant = "",
    revision: options.Revision = "",
    lora: options.Lora = "",
    config: options.Config = "",
    offload: options.Offload = False,
    prompts: options.Prompts,
    seeds: options.Seeds = 4,
    first_seed: options.FirstSeed = 0,
    mitigate: mitigation.Mitigate = "",
    reference: mitigation.Reference = None,
    setting: mitigation.Settings = None,
    num_inference_steps: options.NumInferenceSteps = 50,
    guidance: options.Guidance = 7.5,
    batch: options.Batch = 0,
    restart: options.Restart = False,
    out: Annotated[Path, options.of_output("--out", "Folder for images and their table.")],
) -> None:
    """Generate images of prompts, several seeds each, with a table of what is what and a contact sheet.

    For example:

    - `memlib generate --model data/checkpoints/organism_epsilon --prompts mine.txt --out pictures`
    - `memlib generate --model ./my-pipeline --prompts mine.csv --seeds 16 --device cuda --out pictures`
    - `memlib generate --model ./my-pipeline --prompts mine.txt --mitigate sail --reference harmless.txt
      --out mitigated`
    - `memlib generate --model ./my-pipeline --prompts mine.txt --mitigate random-addition --set count=2
      --set kind=number --out mitigated`
    - `memlib generate --mitigate help`

    Image files are named by number and hash of the prompt and by seed; `images.parquet` and `images.csv` say
    which prompt that is, `sheet.png` shows the first. A seed gives the same start as in `memlib detect`. An
    interrupted call is resumed by the same call.

    With `--mitigate` every image is made twice from its seed, as it comes and with the method; the table says
    what was done to each, the sheet shows both side by side.
    """
    options.require_extras()
    from memlib.screening import Images, Screening, gallery, guided, mitigated, noises, prompt_files
    from memlib.screening.mitigation_table import summary

    if not mitigate:
        mitigation.refuse_without(setting or [], reference)
    given = prompt_files.read(prompts)
    loaded = options.load_model(model, device, dtype, revision, variant, vae_dtype, lora, config, offload)
    each = range(first_seed, first_seed + seeds)
    pictures, table = gallery.pictures_of(out), gallery.table_of(out)
    if mitigate:
        method = mitigation.chosen(
            loaded,
            each,
            mitigate,
            setting or [],
            reference,
            num_inference_steps=num_inference_steps,
            batch=batch,
        )
        screening = mitigated.screening(
            loaded,
            given,
            each,
            mitigate,
            method,
            pictures,
            num_inference_steps=num_inference_steps,
            guidance=guidance,
        )
    else:
        task = Images(loaded, noises(loaded, each), guided(num_inference_steps, guidance))
        settings = {"command": "generate", "num_inference_steps": num_inference_steps, "guidance": guidance}
        screening = Screening(loaded, given, each, task, (), settings, pictures)
    options.go_through(screening, table, batch=batch, restart=restart)
    if restart:
        gallery.discard_others(out)
    gallery.finish(out)
    if mitigate:
        mitigation.tell(summary(table))
    console.print(str(out / "sheet.png"), highlight=False)
