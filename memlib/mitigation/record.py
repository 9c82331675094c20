"""What a mitigation leaves behind: what to sample from instead, and what was done to every image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor
from tqdm import tqdm

from memlib.mitigation.attention import RescaledAttention, rescaled_attention
from memlib.mitigation.descent import NEVER
from memlib.mitigation.objectives import norm
from memlib.text_to_image import Prompts, TextToImage

SAME = 1e-3  # noises nearer than this share of their length count as one


@dataclass(frozen=True, eq=False)
class Task:
    """P prompts with n noises each, to be changed.

    Attributes:
        model: the text-to-image model.
        prompts: P prompts.
        noise: `(P, n, *sample_shape)`, x_T.
        t: time of the first sampling step, at which x_T is judged.
        generators: one a prompt, for what a method draws.
        progress: show progress bars.
    """

    model: TextToImage
    prompts: Prompts
    noise: Float[Tensor, "P n ..."]
    t: float
    generators: Sequence[torch.Generator]
    progress: bool = False


@dataclass(frozen=True, eq=False, kw_only=True)
class Record:
    """What was done to each image; all on the CPU.

    Attributes:
        step: `(P, n)`, gradient step after which it was accepted: 0 unchanged, `NEVER` if its threshold was
            not reached.
        candidate: `(P, n)`, the noise it started from: 0 to n - 1 are those given, later ones were drawn.
        repeated: `(P, n)`, whether its noise is that of an earlier image of the same prompt.
        objective: `(P, n)`, what the method minimises, at the end; NaN for methods without an objective.
        threshold: `(P, n)`, under which it was accepted, or would have been; NaN likewise.
        norm_before: `(P, n)`, length of the noise given.
        norm_after: `(P, n)`, of the noise returned.
        passes: `(P,)`, rows that went through the network for all images of a prompt; a score difference
            takes two.
        backward: `(P,)`, rows of those whose gradient was used.
    """

    step: Int64[Tensor, "P n"]
    candidate: Int64[Tensor, "P n"]
    repeated: Bool[Tensor, "P n"]
    objective: Float64[Tensor, "P n"]
    threshold: Float64[Tensor, "P n"]
    norm_before: Float64[Tensor, "P n"]
    norm_after: Float64[Tensor, "P n"]
    passes: Int64[Tensor, " P"]
    backward: Int64[Tensor, " P"]

    @property
    def reached(self) -> Bool[Tensor, "P n"]:
        """Whether the threshold was reached, or there is none."""
        return self.step != NEVER


@dataclass(frozen=True, eq=False)
class Mitigated:
    """Model, prompts and noise to sample from, as a method returns them.

    Attributes:
        model: the text-to-image model.
        prompts: P prompts, captions or embeddings changed or not.
        noise: `(P, n, *sample_shape)`, changed or not.
        record: what was done.
        steps: the number of steps of the sampling that the noise is meant for.
        attention: how the cross-attention is to be changed while sampling, or None.
    """

    model: TextToImage
    prompts: Prompts
    noise: Float[Tensor, "P n ..."]
    record: Record
    steps: int
    attention: RescaledAttention | None = None

    @contextmanager
    def context(self) -> Iterator[None]:
        """The model's attention changed as the method asks; nothing for the others. Restored on leaving."""
        if self.attention is None:
            yield
            return
        with rescaled_attention(self.model, self.prompts, self.attention):
            yield

    def sample(self, *, guidance: float = 7.5, rows: int = 64, progress: bool = False) -> Tensor:
        """Guided samples, latents `(P, n, *sample_shape)` for `TextToImage.decode`.

        Args:
            guidance: scale of classifier-free guidance.
            rows: prompts times noises at a time, at least one prompt.
            progress: show a progress bar.
        """
        together = max(1, rows // self.noise.shape[1])
        parts = []
        with self.context():
            for start in tqdm(range(0, len(self.prompts), together), desc="sampling", disable=not progress):
                part = slice(start, start + together)
                x = self.noise[part].flatten(0, 1)
                found = self.model.sample(self.prompts[part], x, steps=self.steps, guidance=guidance)
                parts.append(self.prompts[part].grouped(found.samples))
        return torch.cat(parts)


def recorded(
    task: Task,
    prompts: Prompts | None = None,
    noise: Tensor | None = None,
    attention: RescaledAttention | None = None,
    **known: Any,
) -> Mitigated:
    """The result of a method: what it changed, what it knows of the record; the rest says "as it came"."""
    count, n = task.noise.shape[:2]
    after = task.noise if noise is None else noise
    unknown = torch.full((count, n), torch.nan, dtype=torch.float64)
    none = torch.zeros(count, dtype=torch.int64)
    record = {
        "step": torch.zeros(count, n, dtype=torch.int64),
        "candidate": torch.arange(n).expand(count, n),
        "repeated": repeats(after),
        "objective": unknown,
        "threshold": unknown,
        "norm_before": _lengths(task.noise),
        "norm_after": _lengths(after),
        "passes": none,
        "backward": none,
    }
    return Mitigated(
        task.model,
        task.prompts if prompts is None else prompts,
        after,
        Record(**record | known),
        0,
        attention,
    )


def repeats(noise: Float[Tensor, "P n ..."]) -> Bool[Tensor, "P n"]:
    """Which noises equal an earlier one of the same prompt, up to a thousandth of its length."""
    flat = noise.flatten(2).double()
    near: Tensor = torch.cdist(flat, flat) <= SAME * flat.norm(dim=2, keepdim=True)
    return near.tril(-1).any(2)


def _lengths(noise: Tensor) -> Float64[Tensor, "P n"]:
    return norm(noise.flatten(0, 1).double()).reshape(noise.shape[:2])
