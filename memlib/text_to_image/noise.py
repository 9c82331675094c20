"""Which noise a pipeline's scheduler stands for, and what its network predicts."""

from __future__ import annotations

from typing import Any

from memlib.schedule import Prediction, VariancePreserving
from memlib.text_to_image.libraries import libraries
from memlib.text_to_image.source import ModelError

_PREDICTIONS: dict[str, Prediction] = {"epsilon": "epsilon", "v_prediction": "v", "sample": "sample"}
# With these on a pipeline computes something else. All other entries of schedulers make the noise levels, the
# times or the prediction, which are read, or concern samplers other than DDIM.
_REFUSED = {
    "thresholding": True,
    "clip_sample": True,
    "use_flow_sigmas": True,
    "timestep_type": "continuous",
}
_NOTHING = 2.0**-24  # alpha^2 that diffusers writes for zero, and what rounding makes of it


def variance_preserving(scheduler: Any, source: str) -> tuple[Any, VariancePreserving, Prediction]:
    """DDIM with the noise levels of whatever scheduler a pipeline has, these levels, and the prediction.

    Raises:
        ModelError: the noise is of another kind, or gives no score at every time.
    """
    diffusers, _ = libraries()
    name, config = type(scheduler).__name__, scheduler.config
    if not hasattr(scheduler, "alphas_cumprod"):
        raise ModelError(
            f"the scheduler {name} of {source} has no alphas_cumprod; scores are defined here for "
            "variance-preserving noise, as of DDIM, DDPM or PNDM"
        )
    for key, value in _REFUSED.items():
        if config.get(key) == value:
            raise ModelError(
                f"{source} sets {key}={value} in scheduler/scheduler_config.json, which changes what its "
                "pipeline computes in a way that is not supported here"
            )
    predicted = config.get("prediction_type", "epsilon")
    if predicted not in _PREDICTIONS:
        raise ModelError(
            f"{source} predicts {predicted!r}, expected one of {list(_PREDICTIONS)} (prediction_type in "
            "scheduler/scheduler_config.json)"
        )
    levels = scheduler.alphas_cumprod.double()
    last = levels[-1].item()
    # Noise predictions tell a score at any level; of theirs, leading times leave the last one out.
    unvisited = predicted == "epsilon" and config.get("timestep_spacing") == "leading"
    if last <= 0 or config.get("rescale_betas_zero_snr") or (last <= _NOTHING and not unvisited):
        raise ModelError(
            f"the scheduler {name} of {source} has zero terminal signal (alpha^2 = {last:.2g} at the "
            "noisiest time): there the score is -x whatever the prompt, and no difference can be told; such "
            "models are not supported"
        )
    try:
        schedule = VariancePreserving(levels)
    except ValueError as error:
        raise ModelError(f"the noise levels of {source} give no score at every time ({error})") from error
    # Its own scheduler may have no offset; one step is what Stable Diffusion's pipeline takes for its own.
    offset = config.get("steps_offset", 1)
    return (
        diffusers.DDIMScheduler.from_config(config, steps_offset=offset, clip_sample=False),
        schedule,
        _PREDICTIONS[predicted],
    )
