"""A threshold for a mitigation, from prompts known not to be memorized: it depends on the model."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pyarrow as pa
import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from memlib.mitigation import from_text, objective, quietly
from memlib.mitigation.settings import settings_of
from memlib.screening import batches
from memlib.screening.screen import encoded
from memlib.text_to_image import TextToImage

SHARE = 0.95
"""Share of the images of such prompts that a threshold leaves as they come."""


@dataclass(frozen=True)
class Reference:
    """What prompts known not to be memorized say.

    Attributes:
        threshold: to three digits, so that rounding in the last ones does not change it.
        images: number of images behind it.
    """

    threshold: float
    images: int


def from_reference(
    model: TextToImage,
    name: str,
    given: dict[str, str],
    prompts: pa.Table,
    noise: Float[Tensor, "n ..."],
    *,
    num_inference_steps: int = 50,
    rows: int | None = None,
    progress: bool = False,
) -> Reference:
    """The threshold of a method under which `SHARE` of the images of harmless prompts are as they come.

    Args:
        model: the text-to-image model.
        name: the name of a method with a threshold.
        given: its other settings, as text.
        prompts: known not to be memorized, as `prompt_files.read` gives them.
        noise: `(n, ...)` one start for each seed.
        num_inference_steps: steps of the sampling to come.
        rows: prompts times seeds at a time; None finds out what fits.
        progress: show a progress bar.

    Raises:
        ValueError: the method has no threshold.
    """
    if "threshold" not in settings_of(name):
        raise ValueError(f"{name} has no threshold that reference prompts could give; leave them out")
    method = from_text(name, given, threshold=math.inf)
    found: list[Tensor] = []

    def work(start: int, stop: int) -> None:
        some = encoded(model, prompts["prompt"].slice(start, stop - start).to_pylist())
        with quietly():
            values = objective(
                model, method, some, noise, steps=num_inference_steps, rows=len(some) * len(noise)
            )
        found.append(values.flatten())
        bar.update(stop - start)

    rows = rows or batches.starting_rows(model, gradients=True)
    with tqdm(total=len(prompts), desc="reference", disable=not progress) as bar:
        batches.halving(work, 0, len(prompts), max(1, rows // len(noise)), lambda _: None)
    every = torch.cat(found)
    return Reference(float(f"{every.quantile(SHARE):.3g}"), len(every))
