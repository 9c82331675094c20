"""First-step statistics of a fine-tuned model beside those of the model that it began from.

What both models do alike (captions that state colours, images that the base knew before) cancels in the
difference; what remains was learned from the images of the fine-tune.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from memlib.hessian import JacobianOperator, Product
from memlib.score import ScoreDifference
from memlib.screening import TaskResult
from memlib.screening.screen import encoded
from memlib.sharpness import norms
from memlib.text_to_image import (
    FirstStep,
    Prompts,
    TextToImage,
    check_product,
    generate,
    unconditional_estimates,
)

STATISTICS = {
    "excess": "norm of the caption's effect on the noise prediction, in the model less in its base",
    "shift": "norm of the difference of both models' noise predictions under the caption",
    "shift_curvature": "norm of the product of that difference's Jacobian with itself",
    "difference": "norm of the caption's effect on the noise prediction (Wen et al. 2024)",
    "gain": "norm of the product of the Jacobian of the caption's effect with it (Jeon et al. 2025)",
}
"""Column -> what it is. "excess" ranks; the last two know nothing of the base."""
WITHOUT_BASE = ("difference", "gain")


class AgainstBase:
    """The statistics of `STATISTICS` at the first steps, for all prompts at noises that they share.

    With d = eps(x, c) - eps(x), of the model or of its base, and J the Jacobian in x:
    excess = ||d_model|| - ||d_base||, shift = ||eps_model(x, c) - eps_base(x, c)||,
    shift_curvature = ||(J_model - J_base)(s_model - s_base)|| in score units, difference = ||d_model||,
    gain = ||H_d s_d||. Without a base the first three do not exist. After the first step, x is where the
    model's own guided sampling has come to; of several steps each statistic is the mean.

    Args:
        model: the fine-tuned model.
        base: what it began from, with latents of the same shape and the same noise levels; None if there is
            none.
        noise: `(n, ...)` one start for each seed.
        average_steps: number of first steps that are averaged.
        num_inference_steps: steps of a whole sampling.
        guidance: scale of classifier-free guidance after the first step.
        product: how products with Jacobians are computed.

    Raises:
        ValueError: the two models do not share latents and noise levels, so that nothing can be compared;
            more steps than a sampling has.
    """

    def __init__(
        self,
        model: TextToImage,
        base: TextToImage | None,
        noise: Float[Tensor, "n ..."],
        *,
        average_steps: int = 1,
        num_inference_steps: int = 50,
        guidance: float = 7.5,
        product: Product = "difference",
    ) -> None:
        check_product(model, product)
        self.model, self.base, self.noise, self.product = model, base, noise, product
        self.average_steps, self.steps, self.guidance = average_steps, num_inference_steps, guidance
        times = model.timesteps(num_inference_steps)
        if not 1 <= average_steps <= len(times):
            raise ValueError(f"average_steps must lie in [1, {len(times)}], got {average_steps}")
        self.t = times[0]
        if base is not None:
            for t in times[:average_steps]:
                check_comparable(model, base, t)
        self._free = unconditional_estimates(model, self.t, noise)
        self._base_free = None if base is None else unconditional_estimates(base, self.t, noise)

    @property
    def statistics(self) -> Sequence[str]:
        """The columns that this gives."""
        return WITHOUT_BASE if self.base is None else tuple(STATISTICS)

    def __call__(self, prompts: Prompts) -> TaskResult:
        """Values of every statistic, for P prompts."""
        found = [self._values(step) for step in self._steps(prompts)]
        return TaskResult({name: torch.stack([one[name] for one in found]).mean(0) for name in found[0]})

    def _steps(self, prompts: Prompts) -> Iterator[FirstStep]:
        if self.average_steps == 1:
            yield FirstStep(self.model, self.t, prompts, self.noise, unconditional=self._free)
            return
        path = generate(
            self.model, prompts, self.noise,
            steps=self.steps, first_steps=self.average_steps, guidance=self.guidance,
        )  # fmt: skip
        for k, t in enumerate(path.times):
            step = FirstStep(self.model, t, prompts, self.noise)
            step.x = path.states[k].flatten(0, 1)
            step.estimates = path.conditional[k].flatten(0, 1), path.unconditional[k].flatten(0, 1)
            yield step

    def _values(self, mine: FirstStep) -> dict[str, Tensor]:
        values = {"difference": mine.noise_difference_norm, "gain": mine.curvature_gain(self.product)}
        return values if self.base is None else values | self._against(self.base, mine)

    def _against(self, base: TextToImage, mine: FirstStep) -> dict[str, Tensor]:
        t, prompts = mine.t, encoded(base, list(mine.prompts.captions))  # another text encoder, perhaps
        free = self._base_free if t == self.t else None
        theirs = FirstStep(base, t, prompts, self.noise, unconditional=free)
        theirs.x = mine.x
        shift = self.model.unit(t) * (mine.estimates[0] - theirs.estimates[0])
        of_models = ScoreDifference(self.model.score(t, mine.prompts), base.score(t, prompts))
        known = shift if self.product == "difference" else None
        with JacobianOperator(of_models, mine.x, product=self.product, value=known, check=False) as op:
            product = op.matvec(op.value)
        grouped = mine.prompts.grouped
        return {
            "excess": mine.noise_difference_norm - theirs.noise_difference_norm,
            "shift": mine.sigma * grouped(norms.of_score(shift.double())),
            "shift_curvature": grouped(norms.of_product(product)),
        }


@torch.no_grad()
def check_comparable(model: TextToImage, base: TextToImage, t: float) -> None:
    """Raise `ValueError` if the scores of two models at a time are not those of the same noised latents."""
    if model.sample_shape != base.sample_shape:
        raise ValueError(
            f"the model has latents {tuple(model.sample_shape)}, the base {tuple(base.sample_shape)}; "
            "expected the base that the model was fine-tuned from"
        )
    ours, theirs = model.level(t), base.level(t)
    if any(abs(float(ours[name]) - float(theirs[name])) > 1e-6 for name in ("alpha", "sigma")):
        raise ValueError(
            f"at t = {t} the model has the noise level {ours}, the base {theirs}; expected one noise schedule"
        )


@dataclass(frozen=True)
class Kept:
    """How many tensors of weights a model has, how many its base has the same, and of its denoiser.

    Those of one repeated value, such as biases at zero, tell nothing and are not counted.
    """

    tensors: int
    same: int
    of_denoiser: int


@torch.no_grad()
def check_related(model: TextToImage, base: TextToImage) -> Kept:
    """What a fine-tune has left alone: told by the weights that are those of the base.

    A fine-tune leaves most parts alone, such as the autoencoder; a training of all parts leaves none, and is
    refused.

    Raises:
        ValueError: no weight is that of the base, or all are.
    """
    ours, theirs = _weights(model), _weights(base)
    same = [key for key in ours.keys() & theirs.keys() if _equal(ours[key], theirs[key])]
    if not same:
        raise ValueError(
            f"no weight of {model.source} is that of {base.source}: expected the base that it began from"
        )
    if len(same) == len(ours) == len(theirs):
        raise ValueError(
            f"all weights of {model.source} are those of {base.source}: expected a model that was trained"
        )
    denoiser = f"{model.family.denoiser[0]}."
    return Kept(len(ours), len(same), sum(key.startswith(denoiser) for key in same))


def _weights(model: TextToImage) -> dict[str, Tensor]:
    parts = model.pipeline.components.items()
    modules = ((name, part) for name, part in parts if isinstance(part, torch.nn.Module))
    found = {f"{name}.{key}": weight for name, part in modules for key, weight in part.state_dict().items()}
    return {key: weight for key, weight in found.items() if weight.numel() and weight.min() < weight.max()}


def _equal(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.equal(one, other.to(one))
