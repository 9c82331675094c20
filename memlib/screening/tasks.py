"""What is computed for each prompt: statistics of detection, images, or both."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, cast, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from memlib import detection
from memlib.detection import Statistic
from memlib.hessian import Product
from memlib.text_to_image import (
    FirstStep,
    Prompts,
    TextToImage,
    check_product,
    generate,
    unconditional_estimates,
)

STATISTICS: dict[str, str] = {
    "jeon": "sharpness gain (Jeon et al. 2025)",
    "wen": "score difference (Wen et al. 2024)",
    "gap": "Hessian products (unpublished, 2026)",
    "ren_layer": "layer entropy (Ren et al. 2024)",
    "ren_attention": "attention entropy (Ren et al. 2024)",
    "chen": "bright ending (Chen et al. 2025)",
    "kim": "curvature difference (Kim & Lee 2026)",
    "carlini": "tile distance (Carlini et al. 2023)",
}
"""Column in a file of scores -> method and authors, for those that need no fit to labelled prompts."""

Sampler = Callable[[TextToImage, Prompts, Float[Tensor, "n ..."]], Float[Tensor, "P n ..."]]
"""Latents of prompts from noise that they share."""


@dataclass(frozen=True, eq=False)
class TaskResult:
    """What a task gives for P prompts.

    Attributes:
        values: name of a statistic -> `(P, n)` float64, on the CPU.
        samples: column for the names of images -> their final latents, `(P, n, ...)`.
        columns: name of another column -> its P n entries, those of each prompt in a row.
    """

    values: dict[str, Tensor] = field(default_factory=dict)
    samples: dict[str, Tensor] = field(default_factory=dict)
    columns: dict[str, list[Any]] = field(default_factory=dict)


class Task(Protocol):
    """Statistics, samples or both of some prompts; the noise, one start for each seed, is its own."""

    def __call__(self, prompts: Prompts) -> TaskResult:
        """Work on P prompts at once."""


def noises(model: TextToImage, seeds: Sequence[int]) -> Float[Tensor, "n ..."]:
    """Standard normal latents, one for each seed, independent of the other seeds."""
    return torch.cat([model.noise(1, torch.Generator().manual_seed(seed)) for seed in seeds])


@dataclass(frozen=True, eq=False)
class Detection:
    """Statistics on samples that go no further than these need; from a single step, the cheapest way.

    Attributes:
        model: the text-to-image model.
        noise: `(n, ...)` one start for each seed.
        statistics: name -> statistic.
        num_inference_steps: steps of a whole sampling.
        guidance: scale of classifier-free guidance.
        samples: follow every sampling to its end and return it.
    """

    model: TextToImage
    noise: Float[Tensor, "n ..."]
    statistics: Mapping[str, Statistic]
    num_inference_steps: int = 50
    guidance: float = 7.5
    samples: bool = False

    def __call__(self, prompts: Prompts) -> TaskResult:
        """Values of every statistic."""
        needed = [
            self.num_inference_steps if s.first_steps is None else s.first_steps
            for s in self.statistics.values()
        ]
        generation = generate(
            self.model,
            prompts,
            self.noise,
            steps=self.num_inference_steps,
            first_steps=self.num_inference_steps if self.samples else max(needed),
            guidance=self.guidance,
            attention=any(s.attention for s in self.statistics.values()),
        )
        values = {name: statistic(generation) for name, statistic in self.statistics.items()}
        return TaskResult(values, {"image": generation.samples} if self.samples else {})


class OneStepDetection:
    """Statistics of one step, without a sample: three passes per prompt and seed, one of each seed.

    Args:
        model: the text-to-image model.
        noise: `(n, ...)` one start for each seed.
        statistics: name -> statistic that reads the first step alone, as those with `of_first_step` do.
        num_inference_steps: steps of a whole sampling, whose first is taken.
    """

    def __init__(
        self,
        model: TextToImage,
        noise: Float[Tensor, "n ..."],
        statistics: Mapping[str, Any],
        *,
        num_inference_steps: int = 50,
    ) -> None:
        self.model, self.noise, self.statistics = model, noise, statistics
        self.t = model.timesteps(num_inference_steps)[0]
        self._unconditional = unconditional_estimates(model, self.t, noise)

    def __call__(self, prompts: Prompts) -> TaskResult:
        """Values of every statistic."""
        step = FirstStep(self.model, self.t, prompts, self.noise, unconditional=self._unconditional)
        return TaskResult({name: one.of_first_step(step) for name, one in self.statistics.items()})


@dataclass(frozen=True, eq=False)
class Images:
    """Samples alone.

    Attributes:
        model: the text-to-image model.
        noise: `(n, ...)` one start for each seed.
        sampler: how they are made.
    """

    model: TextToImage
    noise: Float[Tensor, "n ..."]
    sampler: Sampler

    def __call__(self, prompts: Prompts) -> TaskResult:
        """Final latents."""
        return TaskResult(samples={"image": self.sampler(self.model, prompts, self.noise)})


def guided(num_inference_steps: int = 50, guidance: float = 7.5) -> Sampler:
    """Sampling with classifier-free guidance and no mitigation; gives final latents `(P, n, *sample_shape)`.

    Args:
        num_inference_steps: steps of a whole sampling.
        guidance: scale of classifier-free guidance.
    """

    @torch.no_grad()
    def sample(model: TextToImage, prompts: Prompts, noise: Float[Tensor, "n ..."]) -> Tensor:
        end = model.sample(
            prompts, prompts.tiled(noise), steps=num_inference_steps, guidance=guidance
        ).samples
        return prompts.grouped(end)

    return sample


def detection_task(
    model: TextToImage,
    seeds: Sequence[int],
    names: Sequence[str],
    *,
    average_steps: int = 1,
    num_inference_steps: int = 50,
    guidance: float = 7.5,
    product: Product | None = None,
    samples: bool = False,
) -> Task:
    """The cheapest task that gives the statistics asked for.

    Args:
        model: the text-to-image model.
        seeds: one starting noise each.
        names: of the statistics, by method or key (`STATISTICS`).
        average_steps: the number of first steps that "wen" averages.
        num_inference_steps: steps of a whole sampling.
        guidance: scale of classifier-free guidance.
        product: how "jeon" and "gap" multiply with Jacobians; None takes one that fits the model.
        samples: follow every sampling to its end and return it.

    Raises:
        ValueError: no name, an unknown or a repeated one, or a statistic that the model cannot have.
    """
    chosen = product or default_product(model)
    found = statistics(names, average_steps=average_steps, product=chosen)
    if read := [STATISTICS[name] for name, statistic in found.items() if statistic.attention]:
        model.check_applies("attention", read)
    noise = noises(model, seeds)
    if not samples and all(s.first_steps == 1 and hasattr(s, "of_first_step") for s in found.values()):
        return OneStepDetection(model, noise, found, num_inference_steps=num_inference_steps)
    return Detection(model, noise, found, num_inference_steps, guidance, samples)


def default_product(model: TextToImage) -> Product:
    """Forward differences where the precision allows them, the cheapest; else products in reverse mode."""
    try:
        check_product(model, "difference")
    except ValueError:
        return "vjp"
    return "difference"


def product_named(name: str) -> Product:
    """A product with the Jacobian, or `ValueError` for another name."""
    if name not in get_args(Product):
        raise ValueError(f"product must be one of {', '.join(get_args(Product))}, got {name!r}")
    return cast("Product", name)


def option_name(key: str) -> str:
    """The method's name as the command line takes it: "score-difference" for "wen"."""
    return STATISTICS[key].partition(" (")[0].lower().replace(" ", "-")


def statistic_key(name: str) -> str:
    """The key of `STATISTICS` for a key or a method's name; `ValueError` for another name."""
    keys = {option_name(key): key for key in STATISTICS}
    if name not in STATISTICS and name not in keys:
        raise ValueError(
            f"no statistic is called {name!r} (asthana and huang are fitted to labelled prompts first: see "
            f"memlib.detection); there are {', '.join(keys)}"
        )
    return keys.get(name, name)


def statistics(names: Sequence[str], *, average_steps: int, product: Product) -> dict[str, Statistic]:
    """Statistics by name.

    Args:
        names: as `statistic_key` takes them.
        average_steps: the number of first steps that "wen" averages.
        product: how "jeon" and "gap" multiply with Jacobians.

    Raises:
        ValueError: none, an unknown or a repeated name.
    """
    known: dict[str, Callable[[], Statistic]] = {
        "wen": lambda: detection.ScoreDifferenceNorm(average_steps),
        "jeon": lambda: detection.SharpnessGain(product),
        "gap": lambda: detection.HessianScoreGap(product),
        "ren_layer": detection.LayerEntropy,
        "ren_attention": detection.AttentionEntropy,
        "chen": detection.BrightEnding,
        "kim": detection.CurvatureDifference,
        "carlini": detection.TiledDistance,
    }
    names = [statistic_key(name) for name in names]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"one or more different statistics expected, got {list(names)}")
    return {name: known[name]() for name in names}
