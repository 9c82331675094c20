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
    from memlib.screening.ranking import Scores

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
            help="Names with commas between: jeon, wen (one step), gap, ren_layer (one step), chen, kim, "
            "ren_attention, carlini (whole samplings). The first one ranks.",
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
    steps: Annotated[
        int, typer.Option("--steps", min=1, help="First steps that wen averages.", rich_help_panel="How")
    ] = 1,
    trajectory: options.Trajectory = 50,
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
    from memlib.screening import Screening, detection_task, prompt_files, ranking
    from memlib.screening.statistics import default_product, product_named

    names = [name.strip() for name in statistics.split(",") if name.strip()]
    given = prompt_files.read(prompts)
    if reference is not None:
        given = prompt_files.with_reference(given, prompt_files.read(reference))
    loaded = options.load_model(model, device, dtype, revision)
    chosen = default_product(loaded) if product == "auto" else product_named(product)
    each = range(first_seed, first_seed + seeds)
    task = detection_task(
        loaded,
        each,
        names,
        steps=steps,
        trajectory=trajectory,
        guidance=guidance,
        product=chosen,
        samples=images,
    )
    settings = {
        "command": "detect",
        "steps": steps,
        "trajectory": trajectory,
        "guidance": guidance,
        "product": chosen,
    }
    pictures = out.with_name(f"{out.stem}_images") if images else None
    screening = Screening(loaded, given, each, task, names, settings, pictures)
    options.go_through(screening, out, batch=batch, restart=restart)
    scores = ranking.load(out)
    options.tell_truncated(scores.column("truncated"), loaded.tokenizer.model_max_length)
    thresholds = {name: ranking.threshold(scores, name, target) for name in names}
    _show_ranked(scores, thresholds, top)
    _show_thresholds(thresholds, {name: ranking.evaluation(scores, name, target) for name in names}, target)


def _show_ranked(scores: Scores, thresholds: dict[str, Threshold | None], top: int) -> None:
    names = list(scores.values)
    order = scores.ranked(names[0])
    families = any(scores.column("family"))
    table = Table("rank", "prompt", *(["family"] if families else []), *names, title=f"ranked by {names[0]}")
    prompts, family = scores.column("prompt"), scores.column("family")
    for rank, row in enumerate(order[:top], start=1):
        cells = [_cell(scores, name, int(row), thresholds[name]) for name in names]
        kind = [escape(_short(family[row] or "", 16))] if families else []
        table.add_row(str(rank), escape(_short(prompts[row], _WIDTH)), *kind, *cells)
    console.print(table)
    if len(order) > top:
        console.print(f"... and {len(order) - top} more in the file", highlight=False)
    for name in names:
        if missing := int((~scores.usable(name)).sum()):
            console.print(f"{name}: {missing} prompts without a finite value come last and calibrate nothing")


def _cell(scores: Scores, name: str, row: int, threshold: Threshold | None) -> str:
    value = scores.means(name)[row]
    beyond = threshold is not None and bool(threshold.beyond(value))
    return f"[bold]{value:.4g} *[/]" if beyond else f"{value:.4g}"


def _show_thresholds(
    thresholds: dict[str, Threshold | None], evaluations: dict[str, Evaluation | None], target: float
) -> None:
    found = {name: threshold for name, threshold in thresholds.items() if threshold is not None}
    if not found:
        console.print(
            "No threshold: a score says which prompts are more suspicious, not how many are memorized. Give "
            "prompts known not to be memorized with --reference, or a column label, to calibrate thresholds."
        )
        return
    console.print(f"Called memorized at a false positive rate of at most {target:.2%} (marked *):")
    for name, threshold in found.items():
        console.print(_line(name, threshold, evaluations[name]), highlight=False)
    console.print("Intervals at 95 %. They hold for prompts of the same kind as those that calibrated them.")


def _line(name: str, threshold: Threshold, judged: Evaluation | None) -> str:
    side, value, rate = ">" if threshold.larger else "<", threshold.value, threshold.rate
    line = (
        f"  {name} {side} {value.value:.4g} ({value.low:.4g} to {value.high:.4g}), beyond which lie "
        f"{rate.value:.2%} of the {rate.n} known prompts and {rate.low:.2%} to {rate.high:.2%} of new ones"
    )
    if judged is None:
        return line
    auc, tpr = judged.auc, judged.tpr
    return (
        f"{line}; AUC {auc.value:.3f} ({auc.low:.3f} to {auc.high:.3f}), finds {tpr.value:.1%} "
        f"({tpr.low:.1%} to {tpr.high:.1%}) of those labelled memorized"
    )


def _short(text: str, width: int) -> str:
    """A line of at most `width` printable characters."""
    plain = "".join(c if c.isprintable() else " " for c in text)
    return plain if len(plain) <= width else plain[: width - 1] + "…"
