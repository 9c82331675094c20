"""First-step statistics of a fine-tuned model beside those of the model that it began from.

What both models do alike (captions that state colours, images that the base knew before) cancels in the
difference; what remains was learned from the images of the fine-tune.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from memlib.hessian import JacobianOperator, Product
from memlib.score import ScoreDifference
from memlib.screening import TaskResult
from memlib.screening.screen import encoded
from memlib.sharpness import norms
from memlib.text_to_image import FirstStep, Prompts, TextToImage, check_product, unconditional_estimates

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
    """The statistics of `STATISTICS` at the first step, for all prompts at noises that they share.

    With d = eps(x, c) - eps(x), of the model or of its base, and J the Jacobian in x:
    excess = ||d_model|| - ||d_base||, shift = ||eps_model(x, c) - eps_base(x, c)||,
    shift_curvature = ||(J_model - J_base)(s_model - s_base)|| in score units, difference = ||d_model||,
    gain = ||H_d s_d||. Without a base the first three do not exist.

    Args:
        model: the fine-tuned model.
        base: what it began from, with latents of the same shape and the same noise levels; None if there is
            none.
        noise: `(n, ...)` one start for each seed.
        num_inference_steps: steps of a whole sampling, whose first is taken.
        product: how products with Jacobians are computed.

    Raises:
        ValueError: the two models do not share latents and noise levels, so that nothing can be compared.
    """

    def __init__(
        self,
        model: TextToImage,
        base: TextToImage | None,
        noise: Float[Tensor, "n ..."],
        *,
        num_inference_steps: int = 50,
        product: Product = "difference",
    ) -> None:
        check_product(model, product)
        self.model, self.base, self.noise, self.product = model, base, noise, product
        self.t = model.timesteps(num_inference_steps)[0]
        if base is not None:
            check_comparable(model, base, self.t)
        self._free = unconditional_estimates(model, self.t, noise)
        self._base_free = None if base is None else unconditional_estimates(base, self.t, noise)

    @property
    def statistics(self) -> Sequence[str]:
        """The columns that this gives."""
        return WITHOUT_BASE if self.base is None else tuple(STATISTICS)

    def __call__(self, prompts: Prompts) -> TaskResult:
        """Values of every statistic, for P prompts."""
        mine = FirstStep(self.model, self.t, prompts, self.noise, unconditional=self._free)
        values = {"difference": mine.noise_difference_norm, "gain": mine.curvature_gain(self.product)}
        if self.base is not None:
            values |= self._against(self.base, mine)
        return TaskResult(values)

    def _against(self, base: TextToImage, mine: FirstStep) -> dict[str, Tensor]:
        prompts = encoded(base, list(mine.prompts.captions))  # its text encoder may be another one
        theirs = FirstStep(base, self.t, prompts, self.noise, unconditional=self._base_free)
        shift = self.model.unit(self.t) * (mine.estimates[0] - theirs.estimates[0])
        of_models = ScoreDifference(self.model.score(self.t, mine.prompts), base.score(self.t, prompts))
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


@torch.no_grad()
def check_related(model: TextToImage, base: TextToImage) -> None:
    """Raise `ValueError` unless the model can have begun from the base: some weights are the same, some not.

    A fine-tune leaves most parts alone, such as the autoencoder; a training of all parts leaves none, and is
    refused.
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


def _weights(model: TextToImage) -> dict[str, Tensor]:
    parts = model.pipeline.components.items()
    modules = ((name, part) for name, part in parts if isinstance(part, torch.nn.Module))
    return {f"{name}.{key}": weight for name, part in modules for key, weight in part.state_dict().items()}


def _equal(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.equal(one, other.to(one))
