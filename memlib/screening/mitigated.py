"""Images without and with a mitigation, from the same seeds, and what was done to each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from memlib.mitigation import Method, Mitigated, apply, quietly
from memlib.mitigation.method import check_applies
from memlib.mitigation.settings import values_of
from memlib.screening.mitigation_table import COLUMNS, columns
from memlib.screening.screen import Screening
from memlib.screening.tasks import TaskResult, guided, noises
from memlib.text_to_image import Prompts, TextToImage

IMAGES = ("image_before", "image_after")


@dataclass(frozen=True, eq=False)
class MitigatedImages:
    """Samples without and with a method.

    What comes out for a prompt depends on the prompt, the noises and the seed alone. An image of which the
    method leaves noise, prompt and attention is not sampled a second time.

    Attributes:
        model: the text-to-image model.
        noise: `(n, ...)` one start for each seed.
        method: the mitigation.
        num_inference_steps: steps of a whole sampling.
        guidance: scale of classifier-free guidance.
        seed: the seed of what the method draws.
    """

    model: TextToImage
    noise: Float[Tensor, "n ..."]
    method: Method
    num_inference_steps: int = 50
    guidance: float = 7.5
    seed: int = 0

    def __call__(self, prompts: Prompts) -> TaskResult:
        """Final latents of both, and the record."""
        before = guided(self.num_inference_steps, self.guidance)(self.model, prompts, self.noise)
        with quietly():
            found = apply(
                self.model,
                self.method,
                prompts,
                self.noise,
                steps=self.num_inference_steps,
                generator=torch.Generator().manual_seed(self.seed),
                rows=len(prompts) * len(self.noise),
            )
        changed = _changed(found, prompts, self.noise)
        after = before.clone()
        if changed.any():
            after[changed] = self._sample(found, changed)
        samples = dict(zip(IMAGES, (before, after), strict=True))
        return TaskResult(samples=samples, columns=columns(found, prompts, changed))

    @torch.no_grad()
    def _sample(self, found: Mitigated, which: Bool[Tensor, "P n"]) -> Tensor:
        """Some images, `(number, ...)`."""
        prompts = found.prompts[which.nonzero()[:, 0].tolist()]
        with found.context():
            return self.model.sample(
                prompts, found.noise[which], steps=self.num_inference_steps, guidance=self.guidance
            ).samples


def screening(
    model: TextToImage,
    prompts: pa.Table,
    seeds: Sequence[int],
    name: str,
    method: Method,
    pictures: Path,
    *,
    num_inference_steps: int = 50,
    guidance: float = 7.5,
) -> Screening:
    """Prompts through a method, images of both kinds into a folder; name and settings tell it from others.

    Args:
        model: the text-to-image model.
        prompts: as `prompt_files.read` gives them.
        seeds: the seeds of the starting noise; the first is also that of what the method draws.
        name: the name of the method, in `memlib.mitigation.METHODS`.
        method: the mitigation.
        pictures: folder for images.
        num_inference_steps: steps of a whole sampling.
        guidance: scale of classifier-free guidance.

    Raises:
        ValueError: the method has no meaning for the model.
    """
    check_applies(model, method)
    task = MitigatedImages(model, noises(model, seeds), method, num_inference_steps, guidance, seeds[0])
    values = values_of(method)
    settings = {
        "command": "generate",
        "num_inference_steps": num_inference_steps,
        "guidance": guidance,
        "mitigate": name,
    }
    settings |= {f"mitigate {key}": value for key, value in values.items()}
    return Screening(
        model, prompts, seeds, task, (), settings, pictures,
        images=IMAGES, columns=COLUMNS, gradients="threshold" in values,
    )  # fmt: skip


def _changed(found: Mitigated, prompts: Prompts, noise: Tensor) -> Bool[Tensor, "P n"]:
    """Which images start from another noise, under another text or with another attention."""
    moved = (found.noise != noise).flatten(2).any(2)
    reworded = found.prompts.conditions.differing(prompts.conditions)
    return moved | reworded[:, None] | (found.attention is not None)
