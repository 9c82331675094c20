"""What `detect` and `generate` share: options, loading a model, going through the prompts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memlib.cli.program import complain, console

if TYPE_CHECKING:
    from memlib.screening import Screening
    from memlib.text_to_image import TextToImage


def in_panel(panel: str) -> Callable[..., Any]:
    """What makes options of one panel of the help: of a name, its text, and whatever `typer.Option` takes."""
    return lambda name, text, **more: typer.Option(name, help=text, rich_help_panel=panel, **more)


of_model, of_prompts, of_run, of_output = map(in_panel, ("Model", "Prompts", "Run", "Output"))

Model = Annotated[
    str,
    of_model(
        "--model",
        "Folder as diffusers saves it, hub id such as CompVis/stable-diffusion-v1-4, or a .safetensors with "
        "--config.",
    ),
]
Prompts = Annotated[
    Path,
    of_prompts(
        "--prompts",
        ".txt with one prompt a line, or .csv, .tsv, .jsonl, .parquet with a column prompt, caption or "
        "text, and label and family if known. UTF-8.",
    ),
]
Seeds = Annotated[int, of_prompts("--seeds", "Samples of each prompt.", min=1)]
FirstSeed = Annotated[
    int, of_prompts("--first-seed", "Seeds count from here; all prompts share them.", min=0)
]
NumInferenceSteps = Annotated[int, of_run("--num-inference-steps", "Steps of a whole sampling.", min=1)]
Guidance = Annotated[float, of_run("--guidance", "Scale of classifier-free guidance.")]
Device = Annotated[str, of_model("--device", "auto, cpu or cuda.")]
Dtype = Annotated[str, of_model("--dtype", "Precision: float32, float16, bfloat16 or float64.")]
Batch = Annotated[int, of_run("--batch", "Prompts times seeds at a time; 0 finds out what fits.", min=0)]
Revision = Annotated[str, of_model("--revision", "Commit or tag on the hub.")]
Variant = Annotated[
    str, of_model("--variant", "Of the weights, such as fp16 where files are called model.fp16.safetensors.")
]
Lora = Annotated[
    str,
    of_model(
        "--lora", "File of a LoRA, .safetensors, added to the weights; needs peft, pip install -e '.[lora]'."
    ),
]
Config = Annotated[
    str,
    of_model(
        "--config",
        "Folder or hub id with configurations and tokenizers for a --model that is one .safetensors.",
    ),
]
Offload = Annotated[
    bool,
    of_model(
        "--offload",
        "Keep on the device only the network that computes; needs accelerate, pip install -e '.[lora]'.",
    ),
]
VaeDtype = Annotated[
    str,
    of_model(
        "--vae-dtype",
        "Precision of the autoencoder; auto takes --dtype, or float32 where that is half precision, in "
        "which many autoencoders overflow.",
    ),
]
Restart = Annotated[bool, of_run("--restart", "Discard an earlier result or its beginning.")]


def require_extras() -> None:
    """Raise `ImportError` with what to install, before anything long begins."""
    try:
        import diffusers  # noqa: F401
        import pyarrow  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"{error.name} is missing; in the clone of memlib, install what this command needs: "
            "pip install -e '.[screen]'"
        ) from error


def load_model(
    source: str,
    device: str,
    dtype: str,
    revision: str,
    variant: str = "",
    vae_dtype: str = "auto",
    lora: str = "",
    config: str = "",
    offload: bool = False,
) -> TextToImage:
    """The model of the options."""
    from memlib import checks
    from memlib.text_to_image import TextToImage

    return TextToImage.load(
        source,
        device=checks.device(device),
        dtype=checks.dtype(dtype),
        vae_dtype=None if vae_dtype == "auto" else checks.dtype(vae_dtype),
        revision=revision or None,
        variant=variant or None,
        lora=lora or None,
        config=config or None,
        offload=offload,
    )


def go_through(screening: Screening, out: Path, *, batch: int, restart: bool) -> None:
    """Run with a progress bar and say what was done; when interrupted say what is kept."""
    try:
        summary = screening.run(out, rows=batch or None, restart=restart, progress=True)
    except KeyboardInterrupt as stop:
        complain.print(f"stopped: {stop}")
        raise typer.Exit(130) from None
    fresh = summary.prompts - summary.resumed
    before = f", {summary.resumed} of them from an earlier call" if summary.resumed else ""
    console.print(
        f"{summary.prompts} prompts x {len(screening.seeds)} seeds{before}: {summary.path}", highlight=False
    )
    if fresh:
        rate = fresh / summary.seconds
        console.print(
            f"{summary.seconds:.1f} s, {rate:.3g} prompts a second, {summary.rows} rows at a time",
            highlight=False,
        )


def tell_truncated(pieces: list[str | None], limit: int) -> None:
    """Say how many prompts were cut; the table holds what."""
    if cut := sum(piece is not None for piece in pieces):
        complain.print(
            f"{cut} of {len(pieces)} prompts exceed the {limit} tokens that the model reads; "
            "the column truncated has what was cut"
        )
