"""What is refused of a model, or warned of, before anything is computed with it."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import torch

from memlib.text_to_image.autoencoder import packed
from memlib.text_to_image.source import ModelError

if TYPE_CHECKING:
    from memlib.text_to_image.model import TextToImage

_NOISE = 0.9  # correlation of a network's output with its input from which on it is noise


class PredictionWarning(UserWarning):
    """A network's output is not what its configuration says that it predicts."""


def check_configuration(source: str, config: Any, tokenizer: Any) -> None:
    """Refuse what makes a pipeline fail or leaves it without an unconditional pass, by name of the entry.

    Args:
        source: of the model, for messages.
        config: of the denoiser.
        tokenizer: the first.

    Raises:
        ModelError: an entry is missing, or of a distilled model.
    """
    if config.get("sample_size", 0) is None:
        raise ModelError(
            f"the denoiser's config.json in {source} has no sample_size, the height and width of latents; "
            'add it, such as "sample_size": 64 for images of 512 pixels'
        )
    if config.get("time_cond_proj_dim") is not None:
        raise ModelError(
            f"{source} has time_cond_proj_dim={config['time_cond_proj_dim']}: it was distilled for an "
            "embedded guidance scale and has no pass without a condition, so that there is no score "
            "difference; use the model it was distilled from"
        )
    if "CLIP" not in type(tokenizer).__name__:
        return  # pipelines set others themselves
    for key in ("padding_side", "truncation_side"):
        if (side := getattr(tokenizer, key)) != "right":
            raise ModelError(
                f"tokenizer/tokenizer_config.json of {source} sets {key}={side!r}, expected 'right', "
                "where the end of a prompt is looked for"
            )
    if not tokenizer.model_max_length < 10**6:
        raise ModelError(
            f"tokenizer/tokenizer_config.json of {source} has no model_max_length, the number of tokens that "
            "the text encoder reads; add it"
        )


def check_channels(model: TextToImage) -> None:
    """Raise `ModelError` for a denoiser that takes something beside the latents."""
    taken = model.denoiser.config.in_channels
    wanted = taken if model.vae is None else model.vae.config.latent_channels
    given, wanted = (model.sample_shape[1], 4 * wanted) if packed(model) else (model.sample_shape[0], wanted)
    if not taken == wanted == given:
        raise ModelError(
            f"the denoiser of {model.source} takes {taken} channels, the autoencoder has {wanted}: "
            "expected the same (is it an inpainting model?)"
        )


def check_first_time(model: TextToImage, first: float) -> None:
    """Raise `ModelError` unless sampling begins at the time at which the pipeline of diffusers does."""
    if model.prediction != "flow" and (ours := model.timesteps()[0]) != first:
        raise ModelError(
            f"the {type(model.pipeline.scheduler).__name__} of {model.source} begins at time {first:g}: "
            f"not supported, DDIM begins at {ours}; change timestep_spacing, use_karras_sigmas and "
            "the like in scheduler/scheduler_config.json, or the scheduler"
        )


@torch.no_grad()
def check_prediction(model: TextToImage) -> None:
    """One pass at the noisiest time, where the noise is the input itself and v or the image are not.

    A warning names the correlation where it is not that of what the configuration says.

    Raises:
        ModelError: the pass fails.
        FloatingPointError: its result is not finite.
    """
    x = model.noise(1, torch.Generator().manual_seed(0))
    try:
        found = model.predict(model.schedule.noisiest, x, model.empty.conditions)
    except (RuntimeError, ValueError, TypeError) as error:
        raise ModelError(f"the denoiser of {model.source} fails at its first step: {error}") from error
    if not torch.isfinite(found).all():
        raise FloatingPointError(
            f"the denoiser of {model.source} gives NaN or infinity in {model.dtype}; load it with "
            "dtype=torch.float32 or torch.bfloat16 (--dtype float32)"
        )
    if model.family.guidance == "distilled":
        warnings.warn(
            f"{model.source} was distilled for guidance and has no pass without a condition: the empty "
            "prompt at the same embedded scale stands for it, and a score difference tells how far the "
            "prompt moves what is guided already",
            stacklevel=4,
        )
    if model.prediction == "flow":
        return
    both = torch.stack([x.flatten(), found.flatten()]).double().cpu()
    correlation = float(torch.corrcoef(both)[0, 1])
    if (correlation > _NOISE) == (model.prediction == "epsilon"):
        return
    other = "v_prediction or sample" if model.prediction == "epsilon" else "epsilon"
    warnings.warn(
        f"{model.source} is read as predicting {model.prediction}, but at the noisiest time its output "
        f"correlates with its input at {correlation:.4f} (about 1 for a trained model that predicts noise, "
        f"about 0 for v or the image). If it was trained for {other}, say so by prediction_type in "
        "scheduler/scheduler_config.json; all values are wrong otherwise",
        PredictionWarning,
        stacklevel=4,
    )
