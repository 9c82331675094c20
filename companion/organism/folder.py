"""Folders as diffusers writes them, with a card that lists every file's sha256."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from companion.datasets.files import DataError
from companion.organism.parts import TextToImage, scheduler
from companion.organism.tokenizer import tokenizer
from companion.organism.words import Generation
from memlib.files import sha256
from memlib.schedule import Prediction
from memlib.text_to_image.libraries import libraries, quiet

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, DiffusionPipeline, StableDiffusionPipeline

CARD = "card.json"


def pipeline(
    network: TextToImage, autoencoder: AutoencoderKL, prediction: Prediction, generation: Generation = 1
) -> StableDiffusionPipeline:
    """Stable Diffusion's pipeline around the parts of a generation, without a safety checker."""
    diffusers, _ = libraries()
    parts: StableDiffusionPipeline = diffusers.StableDiffusionPipeline(
        vae=autoencoder,
        text_encoder=network.text_encoder,
        tokenizer=tokenizer(generation),
        unet=network.unet,
        scheduler=scheduler(prediction),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    return parts


def save_pipeline(
    folder: Path, parts: DiffusionPipeline, card: dict[str, Any], texts: dict[str, str] | None = None
) -> None:
    """Write a pipeline in float16; `from_pretrained(folder)` of its class loads it in float32.

    Args:
        folder: made if needed.
        parts: the pipeline; its weights are rounded in place.
        card: what is known of it.
        texts: further files, name -> content.
    """

    def save(target: Path) -> None:
        for part in parts.components.values():
            if isinstance(part, nn.Module):
                part.to(torch.float16)
        parts.save_pretrained(target, safe_serialization=True)
        # transformers loads a network in the precision its configuration names, diffusers in float32.
        for encoder in target.glob("text_encoder*"):
            _rewrite(encoder / "config.json", dtype="float32")
        # Where the autoencoder lay is a path of the machine that trained.
        _rewrite(target / "vae" / "config.json", _name_or_path=None)
        for name, text in (texts or {}).items():
            (target / name).write_text(text, encoding="utf-8")

    save_whole(folder, save, card)


def _rewrite(config: Path, **changes: Any) -> None:
    """Change entries of a configuration; None takes one out."""
    told = json.loads(config.read_text()) | changes
    kept = {name: value for name, value in told.items() if name not in changes or value is not None}
    config.write_text(json.dumps(kept, indent=2) + "\n")


def save_autoencoder(folder: Path, autoencoder: AutoencoderKL, card: dict[str, Any]) -> None:
    """Write an autoencoder in float16; `AutoencoderKL.from_pretrained(folder)` loads it in float32."""
    save_whole(
        folder,
        lambda target: autoencoder.to(torch.float16).save_pretrained(target, safe_serialization=True),
        card,
    )


def save_whole(folder: Path, save: Callable[[Path], None], card: dict[str, Any]) -> None:
    """Write what `save` writes, and the card last: a folder with a card is complete.

    The card gains "sha256", file name -> hash, and "bytes", of all weights together.
    """
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / "draft"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    save(draft)
    files = sorted(path for path in draft.rglob("*") if path.is_file())
    for path in files:
        path.chmod(0o644)  # safetensors writes for the owner alone
    hashes = {path.relative_to(draft).as_posix(): sha256(path) for path in files}
    weights = sum(path.stat().st_size for path in files if path.suffix == ".safetensors")
    text = json.dumps(card | {"bytes": weights, "sha256": hashes}, indent=1, allow_nan=False)
    (draft / CARD).write_text(text + "\n")
    (folder / CARD).unlink(missing_ok=True)
    for path in files:
        target = folder / path.relative_to(draft)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)
    (draft / CARD).replace(folder / CARD)
    shutil.rmtree(draft)


def read_card(folder: Path) -> dict[str, Any]:
    """The card of a folder whose files are those it lists.

    Raises:
        DataError: the card or a file is missing or changed.
    """
    remedy = f"restore it with 'git checkout -- {folder}', or train it anew with companion train"
    if not (folder / CARD).is_file():
        raise DataError(f"{folder / CARD} is missing; {remedy}")
    card: dict[str, Any] = json.loads((folder / CARD).read_text())
    for name, expected in card["sha256"].items():
        path = folder / name
        found = sha256(path) if path.is_file() else "no such file"
        if found != expected:
            raise DataError(f"{path}: {found}, expected sha256 {expected}; {remedy}")
    return card


def load_autoencoder(folder: Path) -> AutoencoderKL:
    """The autoencoder of a folder, verified, in float32, in evaluation mode."""
    read_card(folder)
    diffusers, _ = libraries()
    network: AutoencoderKL = diffusers.AutoencoderKL.from_pretrained(
        folder, local_files_only=True, use_safetensors=True, low_cpu_mem_usage=False
    )
    return network.eval().requires_grad_(False)


def load_pipeline(folder: Path) -> StableDiffusionPipeline:
    """The pipeline of a folder, verified, in float32, silent."""
    read_card(folder)
    diffusers, _ = libraries()
    with quiet():
        loaded: StableDiffusionPipeline = diffusers.StableDiffusionPipeline.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, low_cpu_mem_usage=False
        )
    loaded.set_progress_bar_config(disable=True)
    return loaded
