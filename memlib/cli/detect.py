"""`memlib detect`: which prompts of mine has my model memorized?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.markup import escape
from rich.table import Table

from memlib.cli import options
from memlib.cli.program import app, console

if TYPE_CHECKING:
    from memlib.detection.calibration import Threshold
    from memlib.detection.evaluation import Evaluation
    from memlib.screening.ranking import RankedTable

_of_statistics = options.in_panel("Statistics")
_WIDTH = 60  # characters of a prompt in the ranked table


@app.command()
def detect(
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
    reference: Annotated[
        Path | None,
        options.of_prompts(
            "--reference",
            "Prompts known not to be memorized, of the kind you screen: thresholds come from them.",
        ),
    ] = None,
    first_seed: options.FirstSeed = 0,
    statistics: Annotated[
        str,
        _of_statistics(
            "--statistics",
            "Names with commas between; the first one ranks. From one step: sharpness-gain (Jeon et al. "
            "2025), score-difference (Wen et al. 2024), hessian-products (unpublished, 2026), layer-entropy "
            "(Ren et al. 2024). From whole samplings: bright-ending (Chen et al. 2025), "
            "curvature-difference (Kim & Lee 2026), attention-entropy (Ren et al. 2024), tile-distance "
            "(Carlini et al. 2023).",
        ),
    ] = "sharpness-gain, score-difference",
    target: Annotated[
        float, _of_statistics("--target", "False positive rate of the thresholds.", min=0, max=0.5)
    ] = 0.01,
    average_steps: Annotated[
        int, _of_statistics("--average-steps", "First steps that score-difference averages.", min=1)
    ] = 1,
    product: Annotated[
        str,
        _of_statistics(
            "--product",
            "Product with the Jacobian: difference, vjp, jvp, symmetric; auto takes difference, in half "
            "precision vjp.",
        ),
    ] = "auto",
    num_inference_steps: options.NumInferenceSteps = 50,
    guidance: options.Guidance = 7.5,
    batch: options.Batch = 0,
    restart: options.Restart = False,
    out: Annotated[Path, options.of_output("--out", "File for the scores, .parquet.")],
    images: Annotated[
        bool,
        options.of_output(
            "--generate", "Follow every sampling to its end and keep the images beside the scores."
        ),
    ] = False,
    top: Annotated[int, options.of_output("--top", "Prompts in the ranked table.", min=1)] = 20,
) -> None:
    """Screen prompts for memorization: scores for every prompt and seed, a ranked table, thresholds.

    The model need not have been trained here, and nothing need be known of the prompts. For example:

    - `memlib detect --model data/checkpoints/organism_epsilon --prompts mine.txt --out scores.parquet`
    - `memlib detect --model CompVis/stable-diffusion-v1-4 --prompts mine.csv --reference harmless.txt
      --out scores.parquet --device cuda`
    - `memlib detect --model ./my-pipeline --prompts mine.jsonl --statistics score-difference,bright-ending
      --generate --out scores.parquet`

    An interrupted call is resumed by the same call. The file has a row for each prompt and seed: number,
    prompt, label, family, seed, truncated, and a column for each statistic,
    such as jeon for sharpness-gain.
    """
    options.require_extras()
    from memlib.detection.calibration import prompts_needed
    from memlib.screening import Screening, detection_task, prompt_files, ranking
    from memlib.screening.tasks import default_product, product_named, statistic_key

    names = [statistic_key(name.strip()) for name in statistics.split(",") if name.strip()]
    needed = prompts_needed(target)
    given = prompt_files.read(prompts)
    if reference is not None:
        given = prompt_files.with_reference(given, prompt_files.read(reference))
    loaded = options.load_model(model, device, dtype, revision, variant, vae_dtype, lora, config, offload)
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
    options.tell_truncated(scores.column("truncated"), loaded.limit)
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
    headings = ["rank", "prompt", *(["family"] if families else [])]
    methods = [_method(name).replace(" (", "\n(") for name in names]
    table = Table(*headings, *methods, title=f"ranked by {_method(names[0])}")
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
        f"{_method(name)}: nothing is marked. A false positive rate of {target:.2%} takes {needed} "
        f"prompts known not to be memorized; there are {there}, {needed - there} are missing. A larger "
        "--target takes fewer.",
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
            f"  {_method(name)} {side} {value:.4g}, beyond which lie {rate.value:.2%} of the {rate.n} "
            f"known prompts and {rate.low:.2%} to {rate.high:.2%} of new ones",
            highlight=False,
        )
    judged = {name: found for name, found in evaluations.items() if found is not None}
    for name, found in judged.items():
        finds = f", finds {found.tpr:.1%} of those labelled memorized" if name in thresholds else ""
        console.print(f"  {_method(name)}: AUC {found.auc:.3f}{finds}", highlight=False)
    if thresholds or judged:
        console.print("Intervals at 95 %. They hold for prompts of the same kind as those that were known.")


def _method(name: str) -> str:
    """The method of a statistic and its authors."""
    from memlib.screening import STATISTICS

    return STATISTICS[name]


def _short(text: str, width: int) -> str:
    """A line of at most `width` printable characters."""
    plain = "".join(c if c.isprintable() else " " for c in text)
    return plain if len(plain) <= width else plain[: width - 1] + "…"
