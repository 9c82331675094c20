"""A fine-tune and its base from what one has: folders, single files of weights, or the file of a LoRA."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError, safe_open

from memlib.text_to_image import ModelError


def sources(model: str, base: str, lora: str = "", config: str = "") -> tuple[str, str, str]:
    """What to load as the fine-tune: a source, a LoRA upon it, a configuration; "" where there is none.

    A model that is the file of a LoRA is its base with the LoRA; a single file of a whole pipeline has the
    configuration of its base unless another is named.

    Args:
        model: folder, hub id or .safetensors.
        base: folder or hub id of what it began from, or "".
        lora: file of a LoRA on the model, or "".
        config: folder or hub id with the configuration of a single file, or "".

    Raises:
        ModelError: a LoRA without the base that it belongs to, or a file that is no safetensors.
    """
    if not is_lora(model):
        single = Path(model).is_file() and not config
        return model, lora, base if single else config
    if not base:
        raise ModelError(f"{model} is a LoRA, a change of weights: name the model that it changes by --base")
    if lora:
        raise ModelError(f"both {model} and {lora} are a LoRA; fuse them first, or give one")
    return base, model, config


def is_lora(model: str) -> bool:
    """Whether a source is a file of safetensors with the weights of a LoRA: of diffusers, peft or kohya."""
    path = Path(model)
    if path.suffix != ".safetensors" or not path.is_file():
        return False
    try:
        with safe_open(path, "pt") as file:
            return any("lora" in key.lower() for key in file.keys())  # noqa: SIM118 - it is no dictionary
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{model} cannot be read as safetensors: {error}") from error
