"""Where a text-to-image model lies: a folder as diffusers writes it, or its snapshot from the hub."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PIPELINE = "StableDiffusionPipeline"
NETWORKS = {
    "vae": ("diffusers", "AutoencoderKL"),
    "unet": ("diffusers", "UNet2DConditionModel"),
    "text_encoder": ("transformers", "CLIPTextModel"),
}
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
# All that is fetched of a repository on the hub: no pickles, no duplicates in half precision.
WANTED = [
    "model_index.json",
    "scheduler/scheduler_config.json",
    "tokenizer/*.json",
    "tokenizer/*.txt",
    *(f"{part}/*.{ending}" for part in NETWORKS for ending in ("json", "safetensors")),
]
_UNWANTED = ["*.fp16.*", "*.fp16-*", "*non_ema*"]


class ModelError(ValueError):
    """A model folder is incomplete, or not a text-to-image pipeline that can be read."""


def find(source: str | os.PathLike[str], revision: str | None, wanted: Sequence[str] = tuple(WANTED)) -> Path:
    """The local folder, or the snapshot of a hub repository.

    Args:
        source: folder, or id on the hub.
        revision: commit, tag or branch on the hub.
        wanted: patterns of the files to fetch.

    Raises:
        ModelError: there is no such folder, and no such repository that can be read.
    """
    if Path(source).is_dir():
        return Path(source)
    if not isinstance(source, str) or not _HUB_ID.fullmatch(source) or source.startswith("."):
        raise ModelError(f"there is no folder {source}, and it is not a hub id such as owner/name")
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(
                source, revision=revision, allow_patterns=list(wanted), ignore_patterns=_UNWANTED
            )
        )
    except (OSError, ValueError) as error:
        raise ModelError(
            f"there is no local folder {source}, and the hub did not give it: {_reason(error, revision)}"
        ) from error


def _reason(error: Exception, revision: str | None) -> str:
    """Why the hub did not give a model, and what to do."""
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):  # one of the errors below, too
        return "it is gated; accept its licence on its page there and log in with: hf auth login"
    if isinstance(error, errors.RepositoryNotFoundError):
        return "it has no such model, or a private one; check the name, or log in with: hf auth login"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"the model has no revision {revision}; name a commit, tag or branch that its page lists"
    if isinstance(error, (errors.LocalEntryNotFoundError, ConnectionError)):
        return f"it was not reached, and no copy was kept from before ({error}); check the connection"
    return str(error)


def check_index(folder: Path) -> None:
    """Refuse what is not a pipeline of the known parts, before anything is loaded.

    Raises:
        ModelError: it is another pipeline, or one of its parts is of another kind.
    """
    index = read_json(folder / "model_index.json")
    if index.get("_class_name") != PIPELINE:
        raise ModelError(
            f"{folder} holds a {index.get('_class_name')}, expected a {PIPELINE}: text to image, "
            "one CLIP text encoder, latents from a KL autoencoder"
        )
    for part, (library, name) in NETWORKS.items():
        if index.get(part) != [library, name]:
            raise ModelError(
                f"{part} of {folder} is {index.get(part)} in model_index.json, expected {[library, name]}"
            )


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file of a model folder.

    Raises:
        ModelError: the file is missing, cannot be read or holds something else.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(
            f"{path} is missing; a model folder is what diffusers' save_pretrained writes: model_index.json, "
            "scheduler/, text_encoder/, tokenizer/, unet/, vae/"
        ) from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read ({error}); fetch or save the model anew") from error
    if not isinstance(found, dict):
        raise ModelError(f"{path} must hold a JSON object, got {type(found).__name__}")
    return found
