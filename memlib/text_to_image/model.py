"""A text-to-image latent diffusion model, read as scores of its latents under captions."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from memlib import checks
from memlib.sampling import Trajectory, ddim
from memlib.schedule import score_from_prediction
from memlib.score import Score
from memlib.text_to_image import loading, prompts
from memlib.text_to_image.families import FAMILIES
from memlib.text_to_image.first_step import JointDifference, unconditional_scores
from memlib.text_to_image.noise import variance_preserving
from memlib.text_to_image.prompts import Conditions, Prompts, first_call
from memlib.text_to_image.source import ModelError
from memlib.text_to_image.validation import (
    check_channels,
    check_configuration,
    check_first_time,
    check_prediction,
)

Observer = Callable[[int, Tensor, Tensor, Tensor], None]

_IMAGES = 8  # images per pass of the autoencoder
_GUIDANCE = 7.5  # any above 1 makes a pipeline run without a condition, too


def _times(scheduler: Any, steps: int) -> list[int]:
    """The different times that a scheduler visits, noisiest first; the scheduler stays as it is."""
    clock = type(scheduler).from_config(scheduler.config)
    clock.set_timesteps(steps)
    return sorted({*clock.timesteps.tolist()}, reverse=True)


class TextToImage:
    """A pipeline of diffusers, whose own call says what its denoiser is told.

    Args:
        pipeline: of a supported class, its networks in evaluation mode. Its parts are attributes here.
        source: where it came from, for messages.

    Attributes:
        denoiser: the network that is called step after step.
        sample_shape: shape of one latent, `(channels, height, width)`.
        scheduler: diffusers' `DDIMScheduler` with the model's noise levels, for the times of sampling.
        schedule: the same noise levels.
        prediction: what the denoiser predicts.
        device: where it runs.
        dtype: its own and that of the points it takes.

    Raises:
        ModelError: the pipeline is of another class, its noise of another kind, or its first step fails.
    """

    def __init__(self, pipeline: Any, source: str | os.PathLike[str] = "the pipeline") -> None:
        name = type(pipeline).__name__
        if name not in FAMILIES:
            raise ModelError(f"{source} is a {name}, expected one of {', '.join(FAMILIES)}")
        self.pipeline, self.source, self.family = pipeline, str(source), FAMILIES[name]
        self.denoiser: Any = getattr(pipeline, self.family.denoiser[0])
        self.vae, self.tokenizer = pipeline.vae, pipeline.tokenizer
        self.text_encoder = pipeline.text_encoder
        weight = next(self.denoiser.parameters())
        self.device, self.dtype = weight.device, weight.dtype
        check_configuration(self.source, self.denoiser.config, self.tokenizer)
        self.scheduler, self.schedule, self.prediction = variance_preserving(pipeline.scheduler, self.source)
        try:
            first = first_call(pipeline, self.denoiser, [""], guidance_scale=_GUIDANCE)
        except (RuntimeError, ValueError, TypeError) as error:
            raise ModelError(f"the pipeline of {self.source} fails before its first step: {error}") from error
        self.sample_shape: tuple[int, ...] = tuple(first.x.shape[1:])
        check_channels(self)
        check_first_time(self, float(first.timestep))
        self.empty: Prompts = prompts.encode(pipeline, lambda _: first.conditions[:1], [""])
        """No condition, as the pipeline has it for guidance."""

    @classmethod
    def load(
        cls,
        source: str | os.PathLike[str],
        *,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        vae_dtype: torch.dtype | None = None,
        revision: str | None = None,
        variant: str | None = None,
    ) -> TextToImage:
        """Read a pipeline folder, or a model of the hub by its id.

        Weights are read from safetensors alone, never from a pickle, and no code of the folder runs. Of a hub
        repository only the needed files are fetched. One pass at the noisiest time tells whether the network
        predicts what its configuration says; a warning names the correlation if not.

        Args:
            source: a folder as written by diffusers' `save_pretrained`, or an id such as
                "CompVis/stable-diffusion-v1-4".
            device: where the networks run.
            dtype: the dtype of all networks but the autoencoder; points given to scores have the same.
            vae_dtype: of the autoencoder, many of which overflow in float16; None takes `dtype`, or float32
                where that is half precision.
            revision: commit, tag or branch on the hub; a commit makes the result repeatable.
            variant: of the weights, such as "fp16" of files named so; None takes those without one.

        Raises:
            ImportError: diffusers or transformers is not installed.
            ModelError: a part is missing or of another kind, or weights come only as pickles.
        """
        half = torch.finfo(dtype).bits < torch.finfo(torch.float32).bits
        vae_dtype = vae_dtype or (torch.float32 if half else dtype)
        pipeline = loading.read(
            source, device=device, dtype=dtype, vae_dtype=vae_dtype, revision=revision, variant=variant
        )
        model = cls(pipeline, source)
        check_prediction(model)
        return model

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self.source!r}, predicts {self.prediction}, latents {self.sample_shape})"
        )

    @property
    def unet(self) -> Any:
        """The denoiser, where it is a U-Net.

        Raises:
            ValueError: it is a transformer.
        """
        if self.family.denoiser[0] != "unet":
            raise ValueError(
                f"{self.source} has a {type(self.denoiser).__name__}, expected a U-Net: attention maps, and "
                "whatever reads or changes cross-attention, do not apply to it"
            )
        return self.denoiser

    def encode(self, captions: Sequence[str]) -> Prompts:
        """Captions as the pipeline encodes them; too long ones are cut, reported and warned of."""
        return prompts.encode(self.pipeline, self._conditions, captions)

    def _conditions(self, captions: Sequence[str]) -> Conditions:
        call = first_call(self.pipeline, self.denoiser, captions, guidance_scale=1.0)
        return call.conditions

    @torch.no_grad()
    def decode(self, latents: Float[Tensor, "B ..."]) -> Float[Tensor, "B 3 H W"]:
        """Images in [0, 1], float32.

        Raises:
            FloatingPointError: values leave the range of the autoencoder's dtype.
        """
        checks.batched("latents", latents, self.sample_shape)
        scaled = latents.to(self.vae.dtype) / self.vae.config.scaling_factor
        parts = torch.split(scaled, _IMAGES)
        images = torch.cat([self.vae.decode(part, return_dict=False)[0] for part in parts])
        if not torch.isfinite(images).all():
            raise FloatingPointError(
                f"the autoencoder gives NaN or infinity in {self.vae.dtype}; run it in float32: "
                "vae_dtype=torch.float32 (--vae-dtype float32)"
            )
        return (images.float() / 2 + 0.5).clamp(0, 1)

    @torch.no_grad()
    def latents(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B ..."]:
        """Latents of images in [0, 1]: the mean of the autoencoder's posterior, in the model's dtype."""
        checks.batched("images", images)
        pixels = (2 * images - 1).to(self.device, self.vae.dtype)
        means = [self.vae.encode(part).latent_dist.mode() for part in torch.split(pixels, _IMAGES)]
        found: Tensor = torch.cat(means) * self.vae.config.scaling_factor
        return found.to(self.dtype)

    def score(self, t: int, prompts: Prompts | None = None) -> Score:
        """Score at time index `t` under prompts, or the unconditional one.

        A batch holds the samples of each prompt in a row: B is a multiple of the number of prompts.

        Raises:
            ValueError: for a time outside the schedule or, when called, a batch that does not fit.
        """
        text = self.empty if prompts is None else prompts
        name = "unconditional" if prompts is None else f"{len(prompts)} prompts"

        def fn(x: Tensor) -> Tensor:
            return self.scores(t, x, text.repeated(len(x)))

        return Score(fn, **self.level(t), name=f"{name} at t={t}")

    def difference(self, t: int, prompts: Prompts) -> JointDifference:
        """Conditional minus unconditional score, both from one doubled batch."""
        return JointDifference(self, t, prompts)

    def predict(self, t: int, x: Float[Tensor, "B ..."], conditions: Conditions) -> Float[Tensor, "B ..."]:
        """What the denoiser predicts for rows of x, each under its own conditions.

        Raises:
            ValueError: x has another shape or dtype than the model's latents.
        """
        checks.shaped("x", x, self.sample_shape)
        if x.dtype != self.dtype:
            raise ValueError(
                f"the model runs in {self.dtype}, x is {x.dtype}; convert x, or load the model with dtype="
            )
        given = conditions.arguments | conditions.shared
        found: Tensor = self.denoiser(x, timestep=t, **given, return_dict=False)[0]
        return found

    def scores(self, t: int, x: Float[Tensor, "B ..."], conditions: Conditions) -> Tensor:
        """Scores of rows of x, each under its own conditions; errors as `predict`."""
        level = {name: x.new_tensor(value) for name, value in self.level(t).items()}
        return score_from_prediction(self.predict(t, x, conditions), x, kind=self.prediction, **level)

    def level(self, t: int) -> dict[str, float]:
        """`alpha` and `sigma` at time index `t`."""
        if t not in self._levels:  # every pass asks, and reading two tensors takes a percent of a small one
            self._levels[t] = self.schedule.alpha(t).item(), self.schedule.sigma(t).item()
        alpha, sigma = self._levels[t]
        return {"alpha": alpha, "sigma": sigma}

    @cached_property
    def _levels(self) -> dict[int, tuple[float, float]]:
        return {}

    def timesteps(self, steps: int = 50) -> list[int]:
        """The times that the pipeline visits, noisiest first: 981, 961, ..., 1 for 50 in Stable Diffusion.

        Those of DDIM where the pipeline's own scheduler has not one whole number for each step.

        Raises:
            ValueError: more steps than the spacing of the schedule allows.
        """
        if not 1 <= steps <= self.schedule.steps:
            raise ValueError(f"steps must lie in [1, {self.schedule.steps}], got {steps}")
        own, plain = (_times(scheduler, steps) for scheduler in (self.pipeline.scheduler, self.scheduler))
        # Samplers that step in between have not one whole number a step.
        times = [int(t) for t in own] if len(own) == steps and all(t == int(t) for t in own) else plain
        if times[0] >= self.schedule.steps:
            raise ValueError(
                f"{steps} steps start at time {times[0]}, the schedule ends at {self.schedule.steps - 1}; "
                "use fewer steps"
            )
        return times

    def noise(self, count: int, generator: torch.Generator) -> Tensor:
        """Standard normal latents `(count, *sample_shape)`, the same numbers on every device and dtype.

        Args:
            count: number of latents.
            generator: on the CPU.
        """
        drawn = torch.randn(count, *self.sample_shape, generator=generator, dtype=torch.float32)
        return drawn.to(self.device, self.dtype)

    def sample(
        self,
        prompts: Prompts,
        noise: Float[Tensor, "B ..."],
        *,
        steps: int = 50,
        first_steps: int | None = None,
        guidance: float = 7.5,
        keep: Sequence[int] = (),
        shared: Float[Tensor, "n ..."] | None = None,
        observe: Observer | None = None,
        progress: bool = False,
    ) -> Trajectory:
        """Guided DDIM from `noise`, as diffusers' `StableDiffusionPipeline` does with its DDIM scheduler.

        Args:
            prompts: P prompts.
            noise: B rows, the samples of each prompt in a row.
            steps: the number of steps of the full trajectory.
            first_steps: how many of the first steps to take; the result is the state before the next.
            guidance: scale w of s_unconditional + w (s_conditional - s_unconditional).
            keep: positions among the sampled times whose states are returned.
            shared: n rows that `noise` repeats for every prompt; saves passes at the first step.
            observe: called at each step with t, x_t, the conditional and the unconditional score.
            progress: show a progress bar.

        Returns:
            The final latents, for `decode`, and the states kept.
        """
        times = self.timesteps(steps)
        count = steps if first_steps is None else first_steps
        if not 1 <= count <= steps:
            raise ValueError(f"first_steps must lie in [1, {steps}], got {count}")
        if shared is not None and not torch.equal(noise, prompts.tiled(shared)):
            raise ValueError(
                "noise must be shared tiled for all prompts (prompts.tiled); else leave shared out"
            )
        last = float(self.scheduler.final_alpha_cumprod)
        end = self.level(times[count]) if count < steps else {"alpha": last**0.5, "sigma": (1 - last) ** 0.5}

        def guided(t: int) -> Score:
            difference = self.difference(t, prompts)
            known = None
            if shared is not None and t == times[0]:
                known = unconditional_scores(self, t, shared)

            def fn(x: Tensor) -> Tensor:
                conditional, unconditional = difference.both(x, known)
                if observe is not None:
                    observe(t, x, conditional, unconditional)
                return unconditional + guidance * (conditional - unconditional)

            return Score(fn, **self.level(t), name=f"guidance {guidance:g} at t={t}")

        return ddim(
            guided,
            self.schedule,
            noise,
            times=times[:count],
            end=(end["alpha"], end["sigma"]),
            keep=keep,
            progress=progress,
        )
