"""A text-to-image model by whatever one has of it: the name of one that ships, a folder, an id of the hub."""

from __future__ import annotations

from pathlib import Path

import torch

from companion.organism.folder import read_card
from companion.recipes.organism import ORGANISM, TextToImageRecipe
from memlib import checks
from memlib.intervals import Interval
from memlib.text_to_image import TextToImage


def shipped(source: str) -> TextToImageRecipe | None:
    """The recipe of the model organism of this name, unless a folder has the name too."""
    recipe = ORGANISM.get(source)
    return recipe if isinstance(recipe, TextToImageRecipe) and not Path(source).is_dir() else None


def resolve(source: str) -> str:
    """The folder of a model that ships; any other source unchanged.

    Raises:
        ValueError: a model that ships under this name is not there.
    """
    recipe = shipped(source)
    if recipe is None:
        return source
    if not recipe.folder.is_dir():
        remedy = (
            "get the whole repository"
            if recipe.ships
            else f"it does not ship: train it with 'companion train {source} --to {recipe.folder}'"
        )
        raise ValueError(f"{source} should lie in {recipe.folder}, which is missing; {remedy}")
    return str(recipe.folder)


def load(
    source: str,
    *,
    device: str | torch.device = "cpu",
    dtype: str = "float32",
    revision: str | None = None,
) -> TextToImage:
    """The model, ready to score and sample.

    Args:
        source: name of a model that ships, a pipeline folder, or an id of the hub.
        device: where the networks run.
        dtype: the dtype of the networks, by name: "float32", "float16", "bfloat16" or "float64".
        revision: commit, tag or branch on the hub.

    Raises:
        ImportError: diffusers or transformers is not installed.
        memlib.text_to_image.ModelError: there is no such model, or it cannot be read.
        ValueError: another dtype, or a model that ships is not there.

    Example:
        ``load("organism_epsilon").encode(["a photo of the digit three, quiet harbour"])``
    """
    return TextToImage.load(resolve(source), device=device, dtype=checks.dtype(dtype), revision=revision)


def tested(source: str) -> dict[str, Interval]:
    """Shares that the card of a model that ships states, by name, such as "recalled, 100 copies".

    Nothing is known of other models: they give an empty dictionary.
    """
    recipe = shipped(source)
    card = read_card(recipe.folder) if recipe else {"test": {}}
    return {name: Interval(**share) for name, share in card["test"].items()}
