"""What is computed for each prompt: statistics of detection, images, or both."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from memlib.detection import Statistic
from memlib.hessian import Product
from memlib.screening.statistics import default_product, statistics
from memlib.text_to_image import Prompts, SharedNoiseDifference, TextToImage, generate, one_step

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
    """One starting point for each seed, which no other seed changes."""
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
        needed = [self.num_inference_steps if s.visit is None else s.visit for s in self.statistics.values()]
        generation = generate(
            self.model,
            prompts,
            self.noise,
            steps=self.num_inference_steps,
            visit=self.num_inference_steps if self.samples else max(needed),
            guidance=self.guidance,
            attention=any(s.attention for s in self.statistics.values()),
        )
        values = {name: statistic(generation) for name, statistic in self.statistics.items()}
        return TaskResult(values, {"image": generation.samples} if self.samples else {})


class FirstStep:
    """The cheapest way to "wen" over one step and "jeon": three passes per prompt and seed, one of each seed.

    Args:
        model: the text-to-image model.
        noise: `(n, ...)` one start for each seed.
        names: "wen", "jeon" or both.
        num_inference_steps: steps of a whole sampling, whose first is taken.
        product: with the Jacobian.
    """

    def __init__(
        self,
        model: TextToImage,
        noise: Float[Tensor, "n ..."],
        names: Sequence[str],
        *,
        num_inference_steps: int = 50,
        product: Product = "difference",
    ) -> None:
        self.model, self.noise, self.names, self.product = model, noise, tuple(names), product
        self.t = model.timesteps(num_inference_steps)[0]
        self._shared = SharedNoiseDifference(model, self.t, model.empty, noise)

    def __call__(self, prompts: Prompts) -> TaskResult:
        """Values of the statistics asked for."""
        if "jeon" not in self.names:
            with torch.no_grad():
                gap = self._shared.under(prompts)(prompts.tiled(self.noise)).double().flatten(1)
            norms = prompts.grouped(torch.linalg.vector_norm(gap, dim=1))
            return TaskResult({"wen": self.model.level(self.t)["sigma"] * norms.cpu()})
        found = one_step(
            self.model, prompts, self.noise, t=self.t, product=self.product,
            rows=len(prompts) * len(self.noise), shared=self._shared,
        )  # fmt: skip
        values = {
            "wen": self.model.level(self.t)["sigma"] * found.difference.cpu(),
            "jeon": found.curvature.square().cpu(),
        }
        return TaskResult({name: values[name] for name in self.names})


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
    """Plain sampling with classifier-free guidance."""

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
    """The cheapest task that gives the statistics asked for; arguments as above."""
    chosen = product or default_product(model)
    noise, found = noises(model, seeds), statistics(names, average_steps=average_steps, product=chosen)
    if {*names} <= {"wen", "jeon"} and average_steps == 1 and not samples:
        return FirstStep(model, noise, names, num_inference_steps=num_inference_steps, product=chosen)
    return Detection(model, noise, found, num_inference_steps, guidance, samples)
