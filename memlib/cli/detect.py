"""`memlib detect`: which prompts of mine has my model memorized?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from memlib.cli import options
from memlib.cli.program import app, console

if TYPE_CHECKING:
    from memlib.detection.calibration import Threshold
    from memlib.detection.evaluation import Evaluation
    from memlib.screening.ranking import RankedTable

_WIDTH = 60  # characters of a prompt in the ranked table


@app.command()
def detect(
    model: options.Model,
    prompts: options.Prompts,
    out: Annotated[
        Path, typer.Option("--out", help="File for the scores, .parquet.", rich_help_panel="What")
    ],
    statistics: Annotated[
        str,
        typer.Option(
            "--statistics",
            help="Names with commas between; the first one ranks. From one step: jeon (sharpness gain), wen "
            "(norm of the score difference), gap (difference of the products H s), ren_layer (entropy of one "
            "layer's attention). From whole samplings: chen (bright ending), kim (curvature difference), "
            "ren_attention (entropy of all attention), carlini (distance of tiles between images).",
            rich_help_panel="What",
        ),
    ] = "jeon,wen",
    seeds: options.Seeds = 4,
    first_seed: options.FirstSeed = 0,
    reference: Annotated[
        Path | None,
        typer.Option(
            "--reference",
            help="Prompts known not to be memorized, of the kind you screen: thresholds come from them.",
            rich_help_panel="What",
        ),
    ] = None,
    target: Annotated[
        float,
        typer.Option(
            "--target", min=0, max=0.5, help="False positive rate of the thresholds.", rich_help_panel="What"
        ),
    ] = 0.01,
    images: Annotated[
        bool,
        typer.Option(
            "--generate",
            help="Follow every sampling to its end and keep the images beside the scores.",
            rich_help_panel="What",
        ),
    ] = False,
    average_steps: Annotated[
        int,
        typer.Option("--average-steps", min=1, help="First steps that wen averages.", rich_help_panel="How"),
    ] = 1,
    num_inference_steps: options.NumInferenceSteps = 50,
    guidance: options.Guidance = 7.5,
    product: Annotated[
        str,
        typer.Option(
            "--product",
            help="Product with the Jacobian: difference, vjp, jvp, symmetric; auto takes difference, in half "
            "precision vjp.",
            rich_help_panel="How",
        ),
    ] = "auto",
    device: options.Device = "auto",
    dtype: options.Dtype = "float32",
    batch: options.Batch = 0,
    revision: options.Revision = "",
    variant: options.Variant = "",
    vae_dtype: options.VaeDtype = "auto",
    restart: options.Restart = False,
    top: Annotated[int, typer.Option("--top", min=1, help="Prompts in the ranked table.")] = 20,
) -> None:
    """Screen prompts for memorization: scores for every prompt and seed, a ranked table, thresholds.

    The model need not have been trained here, and nothing need be known of the prompts. For example:

    - `memlib detect --model data/checkpoints/organism_epsilon --prompts mine.txt --out scores.parquet`
    - `memlib detect --model CompVis/stable-diffusion-v1-4 --prompts mine.csv --reference harmless.txt
      --out scores.parquet --device cuda`
    - `memlib detect --model ./my-pipeline --prompts mine.jsonl --statistics wen,chen,carlini --generate
      --out scores.parquet`

    An interrupted call is resumed by the same call. The file has a row for each prompt and seed: number,
    prompt, label, family, seed, truncated, and a column for each statistic.
    """
    options.require_extras()
    from memlib.detection.calibration import prompts_needed
    from memlib.screening import Screening, detection_task, prompt_files, ranking
    from memlib.screening.tasks import default_product, product_named

    names = [name.strip() for name in statistics.split(",") if name.strip()]
    needed = prompts_needed(target)
    given = prompt_files.read(prompts)
    if reference is not None:
        given = prompt_files.with_reference(given, prompt_files.read(reference))
    loaded = options.load_model(model, device, dtype, revision, variant, vae_dtype)
    chosen = default_product(loaded) if product == "auto" else product_named(product)
    each = range(first_seed, first_seed + seeds)
    task = detection_task(
        loaded,
        each,
        names,
        average_steps=average_steps,
        num_inference_steps=num_inference_steps,
        guidance=guidance,
        product=chosen,
        samples=images,
    )
    settings = {
        "command": "detect",
        "average_steps": average_steps,
        "num_inference_steps": num_inference_steps,
        "guidance": guidance,
        "product": chosen,
    }
    pictures = out.with_name(f"{out.stem}_images") if images else None
    screening = Screening(loaded, given, each, task, names, settings, pictures)
    options.go_through(screening, out, batch=batch, restart=restart)
    scores = ranking.load(out)
    options.tell_truncated(scores.column("truncated"), loaded.tokenizer.model_max_length)
    thresholds = {name: ranking.threshold(scores, name, target) for name in names}
    enough = {name: found for name, found in thresholds.items() if found and found.rate.n >= needed}
    _show_ranked(scores, enough, top)
    if not any(thresholds.values()):
        console.print(
            "No threshold: a score says which prompts are more suspicious, not how many are memorized. Give "
            "prompts known not to be memorized with --reference, or a column label, to calibrate thresholds."
        )
        return
    evaluations = {name: ranking.evaluation(scores, name, target) for name in names}
    for name, found in thresholds.items():
        if name not in enough:
            _tell_missing(name, found.rate.n if found else 0, needed, target)
    _show_thresholds(enough, evaluations, target)


def _show_ranked(scores: RankedTable, thresholds: dict[str, Threshold], top: int) -> None:
    names = list(scores.values)
    order = scores.ranked(names[0])
    families = any(scores.column("family"))
    table = Table("rank", "prompt", *(["family"] if families else []), *names, title=f"ranked by {names[0]}")
    prompts, family = scores.column("prompt"), scores.column("family")
    for rank, row in enumerate(order[:top], start=1):
        cells = [_cell(scores, name, int(row), thresholds.get(name)) for name in names]
        kind = [escape(_short(family[row] or "", 16))] if families else []
        table.add_row(str(rank), escape(_short(prompts[row], _WIDTH)), *kind, *cells)
    console.print(table)
    if len(order) > top:
        console.print(f"... and {len(order) - top} more in the file", highlight=False)


def _cell(scores: RankedTable, name: str, row: int, threshold: Threshold | None) -> str:
    value = scores.means(name)[row]
    beyond = threshold is not None and bool(threshold.beyond(value))
    return f"[bold]{value:.4g} *[/]" if beyond else f"{value:.4g}"


def _tell_missing(name: str, there: int, needed: int, target: float) -> None:
    console.print(
        f"{name}: nothing is marked. A false positive rate of {target:.2%} takes {needed} prompts known not "
        f"to be memorized; there are {there}, {needed - there} are missing. A larger --target takes fewer.",
        highlight=False,
    )


def _show_thresholds(
    thresholds: dict[str, Threshold], evaluations: dict[str, Evaluation | None], target: float
) -> None:
    if thresholds:
        console.print(f"Called memorized at a false positive rate of at most {target:.2%} (marked *):")
    for name, threshold in thresholds.items():
        side, value, rate = ">" if threshold.higher_is_memorized else "<", threshold.value, threshold.rate
        console.print(
            f"  {name} {side} {value:.4g}, beyond which lie {rate.value:.2%} of the {rate.n} known prompts "
            f"and {rate.low:.2%} to {rate.high:.2%} of new ones",
            highlight=False,
        )
    judged = {name: found for name, found in evaluations.items() if found is not None}
    for name, found in judged.items():
        finds = f", finds {found.tpr:.1%} of those labelled memorized" if name in thresholds else ""
        console.print(f"  {name}: AUC {found.auc:.3f}{finds}", highlight=False)
    if thresholds or judged:
        console.print("Intervals at 95 %. They hold for prompts of the same kind as those that were known.")


def _short(text: str, width: int) -> str:
    """A line of at most `width` printable characters."""
    plain = "".join(c if c.isprintable() else " " for c in text)
    return plain if len(plain) <= width else plain[: width - 1] + "…"
