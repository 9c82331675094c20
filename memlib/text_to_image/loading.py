"""Reads a text-to-image pipeline part by part: weights from safetensors alone, no code from the folder."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from memlib.schedule import Prediction, VariancePreserving
from memlib.text_to_image.libraries import libraries
from memlib.text_to_image.parts import Parts
from memlib.text_to_image.source import NETWORKS, ModelError, check_index, find, read_json

_PREDICTIONS: dict[str, Prediction] = {"epsilon": "epsilon", "v_prediction": "v", "sample": "sample"}


def read(
    source: str | os.PathLike[str], *, device: str | torch.device, dtype: torch.dtype, revision: str | None
) -> Parts:
    """All parts of a pipeline, in evaluation mode and without gradients of their weights.

    Raises:
        ImportError: diffusers or transformers is not installed.
        ModelError: a part is missing or of another kind, or weights come only as pickles.
    """
    diffusers, transformers = libraries()
    folder = find(source, revision)
    check_index(folder)
    modules = {"diffusers": diffusers, "transformers": transformers}
    networks = {
        part: network(folder / part, getattr(modules[library], name), dtype).to(device)
        for part, (library, name) in NETWORKS.items()
    }
    _check_fit(folder, **networks)
    scheduler, schedule, prediction = _scheduler(folder, diffusers)
    return Parts(
        source=str(source),
        **networks,
        tokenizer=_tokenizer(folder, transformers),
        scheduler=scheduler,
        schedule=schedule,
        prediction=prediction,
    )


def network(home: Path, kind: Any, dtype: torch.dtype) -> Any:
    """A network from its own folder, in evaluation mode and without gradients of its weights.

    Args:
        home: holds config.json and weights as safetensors.
        kind: class of diffusers or transformers.
        dtype: the dtype of the weights.

    Raises:
        ModelError: weights are missing, incomplete, unreadable or pickles.
    """
    read_json(home / "config.json")
    if not any(home.glob("*.safetensors")):
        pickles = sorted(path.name for pattern in ("*.bin", "*.ckpt", "*.pt") for path in home.glob(pattern))
        came = f"only pickles, {', '.join(pickles)}" if pickles else "no weights"
        raise ModelError(
            f"{home} holds {came}; weights are read from safetensors alone, because a pickle can run code: "
            "save the model with save_pretrained(..., safe_serialization=True)"
        )
    options: dict[str, Any] = {"local_files_only": True, "use_safetensors": True, "output_loading_info": True}
    if kind.__module__.startswith("transformers."):
        options["dtype"] = dtype
    else:
        options["torch_dtype"] = dtype
        # Without accelerate diffusers loads the same way, but warns.
        options["low_cpu_mem_usage"] = importlib.util.find_spec("accelerate") is not None
    try:
        found, info = kind.from_pretrained(home, **options)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"{home} cannot be loaded as {kind.__name__}: {error}") from error
    if info["missing_keys"]:
        # The libraries fill these with random numbers.
        raise ModelError(f"the weights in {home} lack {sorted(info['missing_keys'])[:4]}; fetch them anew")
    return found.eval().requires_grad_(False)


def _check_fit(folder: Path, vae: Any, unet: Any, text_encoder: Any) -> None:
    latent, width = vae.config.latent_channels, text_encoder.config.hidden_size
    if (unet.config.in_channels, unet.config.out_channels) != (latent, latent):
        raise ModelError(
            f"the U-Net of {folder} maps {unet.config.in_channels} channels to {unet.config.out_channels}, "
            f"the autoencoder has {latent}: expected {latent} to {latent} (is it an inpainting model?)"
        )
    if unet.config.cross_attention_dim != width:
        raise ModelError(
            f"the U-Net of {folder} attends to vectors of {unet.config.cross_attention_dim} entries, "
            f"the text encoder gives {width}"
        )


def _tokenizer(folder: Path, transformers: Any) -> Any:
    home = folder / "tokenizer"
    if not (home / "tokenizer.json").is_file() and not (home / "vocab.json").is_file():
        raise ModelError(
            f"{home} holds no tokenizer: vocab.json with merges.txt, or tokenizer.json, expected"
        )
    try:
        return transformers.CLIPTokenizer.from_pretrained(home, local_files_only=True)
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(f"{home} cannot be loaded as CLIPTokenizer: {error}") from error


def _scheduler(folder: Path, diffusers: Any) -> tuple[Any, VariancePreserving, Prediction]:
    """DDIM with the noise levels of whatever scheduler the folder names."""
    config = read_json(folder / "scheduler" / "scheduler_config.json")
    name = str(config.get("_class_name"))
    kind = getattr(diffusers, name, None)
    if kind is None or diffusers.SchedulerMixin not in getattr(kind, "__mro__", ()):
        raise ModelError(f"{folder} names the scheduler {name}, which is none of diffusers'")
    given = kind.from_config(config)
    if not hasattr(given, "alphas_cumprod"):
        raise ModelError(
            f"the scheduler {name} of {folder} has no alphas_cumprod; scores are defined here for "
            "variance-preserving noise, as of DDIM, DDPM or PNDM"
        )
    predicted = config.get("prediction_type", "epsilon")
    if predicted not in _PREDICTIONS:
        raise ModelError(
            f"{folder} predicts {predicted!r}, expected one of {list(_PREDICTIONS)} (prediction_type in "
            "scheduler/scheduler_config.json)"
        )
    try:
        schedule = VariancePreserving(given.alphas_cumprod.double())
    except ValueError as error:
        raise ModelError(
            f"the noise levels of {folder} give no score at every time ({error}); "
            "schedules rescaled to zero terminal signal are not supported"
        ) from error
    # What StableDiffusionPipeline sets for any scheduler of its own.
    scheduler = diffusers.DDIMScheduler.from_config(given.config, steps_offset=1, clip_sample=False)
    return scheduler, schedule, _PREDICTIONS[predicted]
