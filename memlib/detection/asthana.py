"""Direction and length of the score difference on pure noise (Asthana & Belagiannis 2026, 2601.20642)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from memlib.text_to_image import FirstStep, Generation, unconditional_estimates


@dataclass(frozen=True)
class Anisotropy:
    """gamma_1 cos(s_Delta, s_u) at the last time plus gamma_2 ||s_Delta|| at the first, both at x_T.

    Asthana & Belagiannis (2026). The last time is taken on the same pure noise, which the model never sees
    there. The weights come from a logistic regression on a few labelled prompts, `Anisotropy.fit`; the paper
    uses 20.

    Attributes:
        cosine: gamma_1.
        norm: gamma_2.
    """

    cosine: float
    norm: float
    higher_is_memorized: bool = True
    first_steps: int = 1
    attention: bool = False

    def __call__(self, generation: Generation) -> Float64[Tensor, "P n"]:
        """The weighted sum."""
        return self.of(*parts(generation))

    def of(self, cosines: Float64[Tensor, "P n"], norms: Float64[Tensor, "P n"]) -> Float64[Tensor, "P n"]:
        """The weighted sum of `parts` that have been computed.

        Args:
            cosines: the first result of `parts`.
            norms: the second one.
        """
        return self.cosine * cosines + self.norm * norms

    @classmethod
    def fit(
        cls, cosines: Float64[Tensor, "P n"], norms: Float64[Tensor, "P n"], labels: Bool[Tensor, " P"]
    ) -> Anisotropy:
        """Weights from the `parts` of labelled prompts, averaged over seeds; true labels are memorized.

        Args:
            cosines: the first result of `parts`.
            norms: the second one.
            labels: true for memorized prompts.

        Raises:
            ImportError: scikit-learn is not installed.
            ValueError: labels of one kind only.
        """
        try:
            from sklearn.linear_model import LogisticRegression
        except ImportError as error:
            raise ImportError(
                "weights are fitted with scikit-learn, which is not installed; run pip install scikit-learn"
            ) from error
        if labels.unique().numel() != 2:
            raise ValueError("a fit needs memorized and other prompts, got labels of one kind")
        features = torch.stack([cosines.mean(1), norms.mean(1)], dim=1).numpy()
        (weights,) = LogisticRegression().fit(features, labels.numpy()).coef_.tolist()
        return cls(*weights)


@torch.no_grad()
def parts(generation: Generation) -> tuple[Float64[Tensor, "P n"], Float64[Tensor, "P n"]]:
    """The cosine at the last time of the trajectory and the norm at the first, in score units."""
    grid = generation.states.shape[1:3]
    model, prompts = generation.model, generation.prompts
    noise = generation.states[0, 0]  # all prompts share it
    t = model.timesteps(generation.steps)[-1]
    late = FirstStep(model, t, prompts, noise, unconditional=unconditional_estimates(model, t, noise))
    conditional, unconditional = (s.flatten(1).double() for s in late.scores)
    cosines = torch.cosine_similarity(conditional - unconditional, unconditional, dim=1)
    return cosines.reshape(grid).cpu(), FirstStep.of(generation).difference_norm.cpu()
