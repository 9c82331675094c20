"""Where a text-to-image model lies: a folder as diffusers writes it, or its snapshot from the hub."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
# All that is fetched of a repository on the hub: no pickles, no code, no checkpoint beside the parts.
CONFIGURATION = ("model_index.json", "*/*.json", "*/*.txt", "*/*.model")
WANTED = (*CONFIGURATION, "*/*.safetensors")
_HALF = ("*.fp16.*", "*.fp16-*")
_UNWANTED = ("*non_ema*", "safety_checker/*", "feature_extractor/*")


class ModelError(ValueError):
    """A model folder is incomplete, or not a text-to-image pipeline that can be read."""


def find(
    source: str | os.PathLike[str],
    revision: str | None,
    wanted: Sequence[str] = WANTED,
    variant: str | None = None,
) -> Path:
    """The local folder, or the snapshot of a hub repository.

    Args:
        source: folder, or id on the hub.
        revision: commit, tag or branch on the hub.
        wanted: patterns of the files to fetch.
        variant: of the weights, such as "fp16"; None fetches none in half precision.

    Raises:
        ModelError: there is no such folder, and no such repository that can be read.
    """
    if Path(source).is_dir():
        return Path(source)
    if not isinstance(source, str) or not _HUB_ID.fullmatch(source) or source.startswith("."):
        raise ModelError(f"there is no folder {source}, and it is not a hub id such as owner/name")
    from huggingface_hub import snapshot_download

    if variant:
        wanted = [name for name in wanted if not name.endswith(".safetensors")]
        wanted += [f"*/*.{variant}.safetensors", f"*/*.{variant}-*.safetensors"]
    unwanted = [*_UNWANTED, *(() if variant else _HALF)]
    try:
        return Path(
            snapshot_download(
                source, revision=revision, allow_patterns=list(wanted), ignore_patterns=unwanted
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


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file of a model folder.

    Raises:
        ModelError: the file is missing, cannot be read or holds something else.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(
            f"{path} is missing; a model folder is what diffusers' save_pretrained writes: model_index.json "
            "and a folder for each part, such as scheduler/, text_encoder/, tokenizer/, unet/, vae/"
        ) from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read ({error}); fetch or save the model anew") from error
    if not isinstance(found, dict):
        raise ModelError(f"{path} must hold a JSON object, got {type(found).__name__}")
    return found
