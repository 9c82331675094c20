"""Guided sampling that keeps what statistics of memorization need."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from memlib import checks
from memlib.sampling import Trajectory
from memlib.text_to_image.attention import CrossAttention, cross_attention
from memlib.text_to_image.prompts import Prompts

if TYPE_CHECKING:
    from memlib.text_to_image.model import TextToImage


@dataclass(frozen=True, eq=False)
class Generation:
    """The paths of P prompts times n seeds from noise to latents, S steps of them.

    Attributes:
        model: what sampled them.
        prompts: the P prompts.
        times: the S times sampled, noisiest first.
        steps: number of steps of the whole trajectory; more than S when only the first were sampled.
        sigma: `(S,)` noise scale at each.
        states: `(S + 1, P, n, *sample_shape)`; the last is the result of the last step.
        conditional: `(S, P, n, *sample_shape)`, `TextToImage.estimates` under the prompts: scores, or
            predicted x_0, see there.
        unconditional: `(S, P, n, *sample_shape)`, those without a condition.
        attention: None, or `(S, layers, P, n, L)`: weight that the conditional pass gives to each token, a
            mean over heads and pixels of each cross-attention layer, in the order in which they run.
        last_attention: None, or per layer `(P, n, pixels, L)` at the last sampled step, a mean over heads.
    """

    model: TextToImage
    prompts: Prompts
    times: list[float]
    steps: int
    sigma: Float64[Tensor, " S"]
    states: Float[Tensor, "S+1 P n ..."]
    conditional: Float[Tensor, "S P n ..."]
    unconditional: Float[Tensor, "S P n ..."]
    attention: Float[Tensor, "S layers P n L"] | None = None
    last_attention: dict[str, Tensor] | None = None

    @property
    def samples(self) -> Tensor:
        """The final latents `(P, n, *sample_shape)`."""
        return self.states[-1]

    def differences(self, steps: slice = slice(None)) -> Float64[Tensor, "S P n ..."]:
        """s_Delta at steps, on the CPU."""
        found = (self.conditional[steps] - self.unconditional[steps]).double().cpu()
        units = found.new_tensor([self.model.unit(t) for t in self.times[steps]])
        return units.reshape(-1, *[1] * (found.ndim - 1)) * found

    @property
    def complete(self) -> bool:
        """Whether the trajectory was followed to its end."""
        return len(self.times) == self.steps


@torch.no_grad()
def generate(
    model: TextToImage,
    prompts: Prompts,
    noise: Float[Tensor, "n ..."],
    *,
    steps: int = 50,
    first_steps: int | None = None,
    guidance: float = 7.5,
    attention: bool = False,
    progress: bool = False,
) -> Generation:
    """Sample every prompt from every noise and keep states, scores and, if wanted, attention.

    All runs as one batch of P n rows, doubled for guidance: pass as many prompts as fit.

    Args:
        model: the text-to-image model.
        prompts: P prompts.
        noise: n starting points that all prompts share.
        steps: the number of steps of the whole trajectory.
        first_steps: how many of the first steps to follow; None follows all.
        guidance: scale of classifier-free guidance.
        attention: keep the cross-attention.
        progress: show a progress bar.

    Raises:
        ValueError: noise of another shape than the model's latents, or more steps than it has.
    """
    checks.batched("noise", noise, model.sample_shape)
    grid = (len(prompts), len(noise))
    seen: list[tuple[float, Tensor, Tensor, Tensor]] = []
    weights: list[Tensor] = []
    # The first rows of a doubled batch, and all of one that is not, are the conditional ones.
    rows = len(prompts) * len(noise)
    with cross_attention(model.unet, rows) if attention else nullcontext(CrossAttention()) as record:

        def observe(t: float, x: Tensor, conditional: Tensor, unconditional: Tensor) -> None:
            seen.append((t, x, conditional, unconditional))
            if attention:
                weights.append(torch.stack([layer.mean(1) for layer in record.maps.values()]))

        end = model.sample(
            prompts,
            prompts.tiled(noise),
            steps=steps,
            first_steps=first_steps,
            guidance=guidance,
            shared=noise,
            observe=observe,
            progress=progress,
        ).samples
    times, states, conditional, unconditional = zip(*seen, strict=True)
    return Generation(
        model,
        prompts,
        list(times),
        steps,
        torch.tensor([model.level(t)["sigma"] for t in times], dtype=torch.float64),
        torch.stack([*states, end]).unflatten(1, grid),
        torch.stack(conditional).unflatten(1, grid),
        torch.stack(unconditional).unflatten(1, grid),
        torch.stack(weights).unflatten(2, grid) if attention else None,
        {name: prompts.grouped(layer) for name, layer in record.maps.items()} if attention else None,
    )


def paths(
    model: TextToImage,
    prompts: Prompts,
    noise: Float[Tensor, "n ..."],
    *,
    times: Sequence[float] = (),
    steps: int = 50,
    guidance: float = 7.5,
    rows: int = 64,
) -> Trajectory:
    """Samples of every prompt from every noise, and their states at some times.

    Args:
        model: the text-to-image model.
        prompts: P prompts.
        noise: n starting points that all prompts share.
        times: times among `model.timesteps(steps)`.
        steps: the number of steps of the trajectory.
        guidance: scale of classifier-free guidance.
        rows: prompts times noises in one pass, at least one prompt; bounds the memory.

    Returns:
        Final latents and states, each `(P, n, *sample_shape)`.

    Raises:
        ValueError: a time that is not sampled, or `rows` below 1.
    """
    sampled = model.timesteps(steps)
    if rows < 1 or not set(times) <= set(sampled):
        raise ValueError(f"rows must be at least 1 and times among {sampled}, got {rows} and {list(times)}")
    keep = [sampled.index(t) for t in times]
    together = max(1, rows // len(noise))
    pieces = [prompts[start : start + together] for start in range(0, len(prompts), together)]
    found = [
        model.sample(some, some.tiled(noise), steps=steps, guidance=guidance, keep=keep, shared=noise)
        for some in pieces
    ]
    return Trajectory(
        prompts.grouped(torch.cat([path.samples for path in found])),
        {t: prompts.grouped(torch.cat([path.states[t] for path in found])) for t in times},
    )
