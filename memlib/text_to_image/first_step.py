"""What one denoising step tells of prompts that start from the same noise: scores, norms and products."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Float64
from torch import Tensor
from tqdm import tqdm

from memlib import checks
from memlib.hessian import JacobianOperator, Product
from memlib.score import ScoreDifference
from memlib.sharpness import norms
from memlib.text_to_image.prompts import Conditions

if TYPE_CHECKING:
    from memlib.score import Score
    from memlib.text_to_image.generation import Generation
    from memlib.text_to_image.model import TextToImage
    from memlib.text_to_image.prompts import Prompts


class JointDifference(ScoreDifference):
    """s_Delta of a model under prompts; one pass of a doubled batch gives both halves.

    Args:
        model: the text-to-image model.
        t: time index.
        prompts: P prompts; a batch holds the samples of each in a row.
    """

    def __init__(self, model: TextToImage, t: float, prompts: Prompts) -> None:
        super().__init__(model.score(t, prompts), model.score(t))
        self.model, self.t, self.prompts, self.unit = model, t, prompts, model.unit(t)
        self.fn = self._difference

    def both(
        self, x: Float[Tensor, "B ..."], unconditional: Float[Tensor, "n ..."] | None = None
    ) -> tuple[Tensor, Tensor]:
        """The conditional and the unconditional estimate at x, `TextToImage.estimates`.

        Args:
            x: points.
            unconditional: the unconditional one where it is known, at n points that x repeats for every
                prompt; the pass is then not a doubled one.
        """
        rows = len(x)
        ours = self.prompts.repeated(rows)
        if unconditional is not None:
            return self.model.estimates(self.t, x, ours), self.prompts.tiled(unconditional)
        text = Conditions.joined([ours, self.model.empty.repeated(rows)])
        conditional, unconditional = self.model.estimates(self.t, torch.cat([x, x]), text).chunk(2)
        return conditional, unconditional

    def _difference(self, x: Tensor) -> Tensor:
        conditional, unconditional = self.both(x)
        return self.unit * (conditional - unconditional)


class FirstStep:
    """Scores, norms and products of one step, for P prompts and n noises; each is computed at first use.

    Args:
        model: the text-to-image model.
        t: time index.
        prompts: P prompts.
        noise: n points that all prompts share, for instance `model.noise(n, generator)`.
        conditional: `(P n, ...)` estimates where they are known, the noises of each prompt in a row.
        unconditional: `(n, ...)` estimates at the noise where they are known: the same for all prompts.

    Attributes:
        backward: rows that went back through the network so far, those without a condition counted too.

    Raises:
        ValueError: noise of another shape than the model's latents.
    """

    def __init__(
        self,
        model: TextToImage,
        t: float,
        prompts: Prompts,
        noise: Float[Tensor, "n ..."],
        *,
        conditional: Float[Tensor, "P*n ..."] | None = None,
        unconditional: Float[Tensor, "n ..."] | None = None,
    ) -> None:
        self.model, self.t, self.prompts = model, t, prompts
        self.noise = checks.batched("noise", noise, model.sample_shape).detach()
        self.x = prompts.tiled(self.noise)
        self.sigma = model.level(t)["sigma"]
        self._conditional, self._unconditional = conditional, unconditional
        self.backward = 0

    @classmethod
    def of(cls, generation: Generation) -> FirstStep:
        """The first step of samples whose scores are known already."""
        return cls(
            generation.model,
            generation.times[0],
            generation.prompts,
            generation.states[0, 0],  # all prompts share the noise
            conditional=generation.conditional[0].flatten(0, 1),
            unconditional=generation.unconditional[0, 0],
        )

    @cached_property
    def estimates(self) -> tuple[Tensor, Tensor]:
        """The conditional and the unconditional `TextToImage.estimates`, each `(P n, ...)`."""
        if self._conditional is not None and self._unconditional is not None:
            return self._conditional, self.prompts.tiled(self._unconditional)
        with torch.no_grad():
            return self.model.difference(self.t, self.prompts).both(self.x, self._unconditional)

    @property
    def scores(self) -> tuple[Tensor, Tensor]:
        """The conditional and the unconditional score, each `(P n, ...)`."""
        value = self.model.score(self.t).value
        conditional, unconditional = self.estimates
        return value(self.x, conditional), value(self.x, unconditional)

    @cached_property
    def difference(self) -> Float[Tensor, "P*n ..."]:
        """s_Delta, the conditional less the unconditional score."""
        conditional, unconditional = self.estimates
        return self.model.unit(self.t) * (conditional - unconditional)

    @property
    def difference_norm(self) -> Float64[Tensor, "P n"]:
        """||s_Delta||, in score units."""
        return self.prompts.grouped(norms.of_score(self.difference.double()))

    @property
    def noise_difference_norm(self) -> Float64[Tensor, "P n"]:
        """||eps_Delta||, in units of the noise prediction, eps = -sigma s."""
        return self.prompts.grouped(norms.of_score(-self.sigma * self.difference.double()))

    def curvature_gain(self, product: Product) -> Float64[Tensor, "P n"]:
        """||H_Delta s_Delta||, in score units.

        "difference" takes a doubled pass beside the score difference; its error is the rounding of that over
        the step, sqrt(eps) ||x||. The others have the score difference from the graph that they need.

        Raises:
            ValueError: forward differences in half precision.
        """
        check_product(self.model, product)
        known = self.difference if product == "difference" else None
        score = self.model.difference(self.t, self.prompts)
        # Networks of a loaded model are in evaluation mode: rows are independent, and a check costs a pass.
        with JacobianOperator(score, self.x, product=product, value=known, check=False) as op:
            found = norms.of_product(op.matvec(op.value))
            self.backward += 2 * len(self.x) * op.backward
            if known is None:
                self.__dict__.setdefault("difference", op.value.reshape(self.x.shape))
        return self.prompts.grouped(found)

    def products(self, product: Product) -> tuple[Float64[Tensor, "P n d"], Float64[Tensor, "n d"]]:
        """H s of the conditional and of the unconditional score, each Hessian with its own score.

        Raises:
            ValueError: forward differences in half precision.
        """
        check_product(self.model, product)
        conditional, unconditional = self.scores if product == "difference" else (None, None)
        free = None if unconditional is None else unconditional[: len(self.noise)]
        ours = self._product(self.model.score(self.t, self.prompts), self.x, conditional, product)
        theirs = self._product(self.model.score(self.t), self.noise, free, product)
        return self.prompts.grouped(ours), theirs

    def _product(self, score: Score, x: Tensor, value: Tensor | None, product: Product) -> Tensor:
        with JacobianOperator(score, x, product=product, value=value, check=False) as op:
            return op.matvec(op.value)


@dataclass(frozen=True, eq=False)
class OneStep:
    """Statistics at one time, per prompt and seed.

    Attributes:
        t: the time index.
        difference: `(P, n)` float64 ||s_Delta||, in score units (Wen et al. 2024 measure sigma times this).
        curvature: `(P, n)` float64 ||H_Delta s_Delta|| (the paper, section 4.3, takes its square).
        product: which product with the Jacobian H_Delta.
        backward: rows that went back through the network, those without a condition counted too.
    """

    t: float
    difference: Float64[Tensor, "P n"]
    curvature: Float64[Tensor, "P n"]
    product: Product
    backward: int


def one_step(
    model: TextToImage,
    prompts: Prompts,
    noise: Float[Tensor, "n ..."],
    *,
    t: float | None = None,
    product: Product = "difference",
    rows: int = 64,
    progress: bool = False,
) -> OneStep:
    """||s_Delta|| and ||H_Delta s_Delta|| of every prompt at every noise.

    "difference" needs three passes per prompt and seed, and one per seed for all prompts together.

    Args:
        model: the text-to-image model.
        prompts: P prompts.
        noise: n points that all prompts share, for instance `model.noise(n, generator)`.
        t: time index; None takes the first of 50 steps.
        product: which product with the Jacobian; the products differ, because it is not symmetric.
        rows: prompts times seeds in one pass (twice that in a doubled one), at least one prompt; bounds the
            memory.
        progress: show a progress bar.

    Raises:
        ValueError: `rows` below 1, or forward differences in half precision.

    Example (of a model in a folder):
        ``one_step(model, model.encode(["a cat"]), model.noise(4, torch.Generator().manual_seed(0)))``
    """
    if rows < 1:
        raise ValueError(f"rows must be at least 1, got {rows}")
    check_product(model, product)
    t = model.timesteps()[0] if t is None else t
    together = max(1, rows // len(noise))
    # A single prompt shares with nobody: one doubled pass is then faster than two.
    shares = product == "difference" and len(prompts) > 1
    unconditional = unconditional_estimates(model, t, noise) if shares else None
    differences, curvatures, backward = [], [], 0
    for start in tqdm(range(0, len(prompts), together), desc="prompts", disable=not progress):
        some = prompts[start : start + together]
        step = FirstStep(model, t, some, noise, unconditional=unconditional)
        curvatures.append(step.curvature_gain(product))
        differences.append(step.difference_norm)
        backward += step.backward
    return OneStep(t, torch.cat(differences), torch.cat(curvatures), product, backward)


@torch.no_grad()
def unconditional_estimates(
    model: TextToImage, t: float, noise: Float[Tensor, "n ..."]
) -> Float[Tensor, "n ..."]:
    """The unconditional `estimates` at noise that all prompts share, for `FirstStep`."""
    checks.batched("noise", noise, model.sample_shape)
    return model.estimates(t, noise, model.empty.repeated(len(noise)))


def check_product(model: TextToImage, product: Product) -> None:
    """Raise `ValueError` for forward differences that are all rounding error.

    In half precision, and of transformers in float64, whose steps are lost where they turn to float32 inside.
    """
    good = {torch.float32} if model.family.denoiser[0] == "transformer" else {torch.float32, torch.float64}
    if product == "difference" and model.dtype not in good:
        raise ValueError(
            f"product='difference' of scores in {model.dtype} is rounding error; "
            "use product='vjp', or load the model with dtype=torch.float32"
        )
