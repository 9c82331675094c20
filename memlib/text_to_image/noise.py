"""Which noise a pipeline's scheduler stands for, and what its network predicts."""

from __future__ import annotations

from typing import Any

import torch

from memlib.schedule import Prediction, RectifiedFlow, VariancePreserving
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
    "stochastic_sampling": True,
    "invert_sigmas": True,
}
_NOTHING = 2.0**-24  # alpha^2 that diffusers writes for zero, and what rounding makes of it


def read_noise(
    scheduler: Any, source: str, allowed: tuple[str, ...] = ()
) -> tuple[Any, VariancePreserving | RectifiedFlow, Prediction]:
    """A scheduler with the times of deterministic steps, the noise levels, and the prediction.

    Args:
        scheduler: of diffusers; returned is DDIM's with the same noise levels, or itself if of a flow.
        source: of the model, for messages.
        allowed: entries that may have any value.

    Raises:
        ModelError: the noise is of another kind, or gives no score at every time.
    """
    diffusers, _ = libraries()
    name, config = type(scheduler).__name__, scheduler.config
    flow = name == "FlowMatchEulerDiscreteScheduler" or config.get("prediction_type") == "flow_prediction"
    for key, value in _REFUSED.items():
        if config.get(key) == value and key not in allowed and not (flow and key == "use_flow_sigmas"):
            raise ModelError(
                f"{source} sets {key}={value} in scheduler/scheduler_config.json, which changes what its "
                "pipeline computes in a way that is not supported here"
            )
    if flow:
        return scheduler, RectifiedFlow(), "flow"
    if not hasattr(scheduler, "alphas_cumprod"):
        raise ModelError(
            f"the scheduler {name} of {source} has no alphas_cumprod; scores are defined here for "
            "variance-preserving noise, as of DDIM, DDPM or PNDM, and for rectified flows, as of "
            "FlowMatchEulerDiscreteScheduler"
        )
    predicted = config.get("prediction_type", "epsilon")
    if predicted not in _PREDICTIONS:
        raise ModelError(
            f"{source} predicts {predicted!r}, expected one of {list(_PREDICTIONS)} (prediction_type in "
            "scheduler/scheduler_config.json)"
        )
    # Its own scheduler may have no offset; one step is what Stable Diffusion's pipeline takes for its own.
    offset = config.get("steps_offset", 1)
    return (
        diffusers.DDIMScheduler.from_config(config, steps_offset=offset, clip_sample=False),
        _preserving(scheduler, source, _PREDICTIONS[predicted]),
        _PREDICTIONS[predicted],
    )


def _preserving(scheduler: Any, source: str, prediction: Prediction) -> VariancePreserving:
    levels = scheduler.alphas_cumprod.double()
    if levels[-1] <= _NOTHING:
        # Leading times leave the last one out.
        if prediction == "epsilon" and scheduler.config.get("timestep_spacing") != "leading":
            raise ModelError(
                f"{source} predicts noise, and its {type(scheduler).__name__} has zero terminal signal: at "
                "the noisiest time the noise is the input itself and tells nothing of an image; such a model "
                "needs another prediction_type in scheduler/scheduler_config.json"
            )
        levels = torch.cat([levels[:-1], levels.new_zeros(1)])
    try:
        return VariancePreserving(levels)
    except ValueError as error:
        raise ModelError(f"the noise levels of {source} give no score at every time ({error})") from error
