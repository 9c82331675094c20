"""What `detect` and `generate` share: options, loading a model, going through the prompts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from memlib.cli.program import complain, console

if TYPE_CHECKING:
    from memlib.screening import Screening
    from memlib.text_to_image import TextToImage

Model = Annotated[
    str,
    typer.Option(
        "--model",
        help="Folder as diffusers saves it, hub id such as CompVis/stable-diffusion-v1-4, or a "
        ".safetensors with --config.",
        rich_help_panel="Model",
    ),
]
Prompts = Annotated[
    Path,
    typer.Option(
        "--prompts",
        help=".txt with one prompt a line, or .csv, .tsv, .jsonl, .parquet with a column prompt, caption or "
        "text, and label and family if known. UTF-8.",
        rich_help_panel="Prompts",
    ),
]
Seeds = Annotated[
    int, typer.Option("--seeds", min=1, help="Samples of each prompt.", rich_help_panel="Prompts")
]
FirstSeed = Annotated[
    int,
    typer.Option(
        "--first-seed",
        min=0,
        help="Seeds count from here; all prompts share them.",
        rich_help_panel="Prompts",
    ),
]
NumInferenceSteps = Annotated[
    int,
    typer.Option("--num-inference-steps", min=1, help="Steps of a whole sampling.", rich_help_panel="Run"),
]
Guidance = Annotated[
    float, typer.Option("--guidance", help="Scale of classifier-free guidance.", rich_help_panel="Run")
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.", rich_help_panel="Model")]
Dtype = Annotated[
    str,
    typer.Option(
        "--dtype", help="Precision: float32, float16, bfloat16 or float64.", rich_help_panel="Model"
    ),
]
Batch = Annotated[
    int,
    typer.Option(
        "--batch",
        min=0,
        help="Prompts times seeds at a time; 0 finds out what fits.",
        rich_help_panel="Run",
    ),
]
Revision = Annotated[
    str, typer.Option("--revision", help="Commit or tag on the hub.", rich_help_panel="Model")
]
Variant = Annotated[
    str,
    typer.Option(
        "--variant",
        help="Of the weights, such as fp16 where files are called model.fp16.safetensors.",
        rich_help_panel="Model",
    ),
]
Lora = Annotated[
    str,
    typer.Option(
        "--lora",
        help="File of a LoRA, .safetensors, added to the weights; needs peft, pip install -e '.[lora]'.",
        rich_help_panel="Model",
    ),
]
Config = Annotated[
    str,
    typer.Option(
        "--config",
        help="Folder or hub id with configurations and tokenizers for a --model that is one .safetensors.",
        rich_help_panel="Model",
    ),
]
Offload = Annotated[
    bool,
    typer.Option(
        "--offload",
        help="Keep on the device only the network that computes; needs accelerate, pip install -e '.[lora]'.",
        rich_help_panel="Model",
    ),
]
VaeDtype = Annotated[
    str,
    typer.Option(
        "--vae-dtype",
        help="Precision of the autoencoder; auto takes --dtype, or float32 where that is half precision, in "
        "which many autoencoders overflow.",
        rich_help_panel="Model",
    ),
]
Restart = Annotated[
    bool,
    typer.Option("--restart", help="Discard an earlier result or its beginning.", rich_help_panel="Run"),
]


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
