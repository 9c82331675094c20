"""A text-to-image latent diffusion model, read as scores of its latents under captions."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from memlib import checks
from memlib.sampling import Trajectory, ddim
from memlib.schedule import denoised_from_prediction, score_from_prediction
from memlib.score import Denoiser, Score
from memlib.text_to_image import autoencoder, loading, prompts
from memlib.text_to_image.clock import Clock
from memlib.text_to_image.families import FAMILIES
from memlib.text_to_image.first_step import JointDifference, unconditional_estimates
from memlib.text_to_image.noise import read_noise
from memlib.text_to_image.prompts import Conditions, FirstCall, Prompts, first_call
from memlib.text_to_image.source import ModelError
from memlib.text_to_image.validation import (
    check_channels,
    check_configuration,
    check_first_time,
    check_prediction,
)

Needs = Literal["noise", "text", "attention"]
Observer = Callable[[float, Tensor, Tensor, Tensor], None]

_GUIDANCE = 7.5  # any above 1 makes a pipeline run without a condition, too
_STEPS = 50
_FAINT = 0.01  # alpha below which scores of all prompts agree but for rounding
_FAILURES = (RuntimeError, ValueError, TypeError, AttributeError)


class TextToImage:
    """A pipeline of diffusers; the inputs of its denoiser are recorded from the pipeline's own call.

    Times are what the pipeline's schedule counts in: indices of discrete noise levels, or the noise scale t
    in (0, 1] of a rectified flow. Where alpha = 0 every score is -x / sigma^2 whatever the prompt; there
    the predicted x_0 replaces the score.

    Args:
        pipeline: of a supported class, its networks in evaluation mode. Its parts are attributes here.
        source: where it came from, for messages.

    Attributes:
        denoiser: the network that is called step after step.
        sample_shape: shape of one point, such as `(channels, height, width)` of latents.
        scheduler: diffusers' `DDIMScheduler` with the model's noise levels, for the times of sampling; of a
            rectified flow the pipeline's own.
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
        parts = ("vae", "tokenizer", "text_encoder")
        self.vae, self.tokenizer, self.text_encoder = (getattr(pipeline, part, None) for part in parts)
        weight = next(self.denoiser.parameters())
        if weight.device.type == "meta":
            raise ModelError(
                f"the weights of {self.source} come and go layer by layer (enable_sequential_cpu_offload); a "
                "product goes back through layers whose weights are gone; use enable_model_cpu_offload"
            )
        offloaded = hasattr(self.denoiser, "_hf_hook")  # its weights come when it is called
        self.device = pipeline._execution_device if offloaded else weight.device
        self.dtype = weight.dtype
        check_configuration(self.source, self.denoiser.config, self.tokenizer)
        allowed = () if self.family.vae else ("clip_sample",)  # it clips samples, not scores
        self.scheduler, self.schedule, self.prediction = read_noise(pipeline.scheduler, self.source, allowed)
        # A caption is none, a label some.
        some = ["0" if self.family.reads == "labels" else ""]
        try:
            self._size = self.family.size(pipeline)
            first = self._call(some, guidance=_GUIDANCE)
        except _FAILURES as error:
            raise ModelError(f"the pipeline of {self.source} fails before its first step: {error}") from error
        self._clock = Clock(
            pipeline.scheduler, self.scheduler, lambda steps: self._call(some, steps), first.timestep
        )
        self.sample_shape: tuple[int, ...] = tuple(first.x.shape[1:])
        check_channels(self)
        check_first_time(self, float(first.timestep.flatten()[0]))
        row = slice(-1, None) if self.family.reads == "labels" else slice(1)
        self.empty: Prompts = prompts.encode(pipeline, lambda _: first.conditions[row], [""])
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
        lora: str | os.PathLike[str] | None = None,
        config: str | os.PathLike[str] | None = None,
        offload: bool = False,
    ) -> TextToImage:
        """Read a pipeline folder, a model of the hub by its id, or a single file of weights.

        Weights are read from safetensors alone, never from a pickle, and no code of the folder runs. Of a hub
        repository only the needed files are fetched. One pass at the noisiest time checks that the network
        predicts what its configuration says; a warning names the correlation if not.

        Args:
            source: a folder as written by diffusers' `save_pretrained`, an id such as
                "CompVis/stable-diffusion-v1-4", or a .safetensors with the weights of a whole pipeline.
            device: where the networks run.
            dtype: the dtype of all networks but the autoencoder; points given to scores have the same.
            vae_dtype: of the autoencoder, many of which overflow in float16; None takes `dtype`, or float32
                where that is half precision.
            revision: commit, tag or branch on the hub; a commit makes the result repeatable.
            variant: of the weights, such as "fp16" of files named so; None takes those without one.
            lora: file of a LoRA, .safetensors, whose change of the weights is added to them.
            config: of a single file, a folder or hub id whose configurations and tokenizers fit it.
            offload: keep on the device only the network that computes (text encoders, denoiser, autoencoder).

        Raises:
            ImportError: diffusers, transformers, peft for a LoRA or accelerate to offload is not installed.
            ModelError: a part is missing or of another kind, or weights come only as pickles.
            ValueError: `config` beside a folder.
        """
        half = torch.finfo(dtype).bits < torch.finfo(torch.float32).bits
        vae_dtype = vae_dtype or (torch.float32 if half else dtype)
        pipeline = loading.read(source, device, dtype, vae_dtype, revision, variant, lora, config, offload)
        model = cls(pipeline, source)
        check_prediction(model)
        return model

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self.source!r}, predicts {self.prediction}, latents {self.sample_shape})"
        )

    @property
    def limit(self) -> int:
        """Tokens of a caption that the pipeline takes."""
        return prompts.reader(self.pipeline)[1]

    @property
    def unet(self) -> Any:
        """The denoiser, where it is a U-Net.

        Raises:
            ValueError: it is a transformer.
        """
        self.check_applies("attention", ["attention maps"])
        return self.denoiser

    def check_applies(self, needs: Needs, names: Sequence[str]) -> None:
        """Refuse methods by name whose meaning the model lacks, before anything is computed.

        Args:
            needs: what they read or change: "noise", the "text" of captions, or cross-"attention" to it.
            names: of the methods.

        Raises:
            ValueError: its prompts are no text, or its denoiser is no U-Net.
        """
        kind, which = type(self.denoiser).__name__, ", ".join(names)
        if needs == "attention" and self.family.denoiser[0] != "unet":
            raise ValueError(
                f"{self.source} has a {kind}, expected a U-Net: {which} cannot be had of it. "
                "They are defined for cross-attention of U-Nets; transformers attend to text and image "
                "together, or to text without the marks and the padding that these methods speak of"
            )
        if needs != "noise" and self.family.reads != "text":
            raise ValueError(
                f"{self.source} reads {self.family.reads}, expected text: {which} cannot be had of it, for "
                "it changes captions or their embeddings"
            )

    def encode(self, captions: Sequence[str]) -> Prompts:
        """Captions as the pipeline encodes them; too long ones are cut, reported and warned of.

        Of a model of labelled images a caption is a label, by number or by name.

        Raises:
            ValueError: the model takes no condition, or has no such label.
        """
        if self.family.reads == "nothing":
            raise ValueError(
                f"{self.source} is a model without prompts; it has score(t) and sample(empty, ...)"
            )
        return prompts.encode(self.pipeline, self._conditions, captions)

    def _conditions(self, captions: Sequence[str]) -> Conditions:
        return self._call(captions).conditions

    def _call(self, captions: Sequence[str], steps: int = _STEPS, guidance: float = 1.0) -> FirstCall:
        given: Any = list(captions)
        if self.family.reads == "labels":
            names = self.pipeline.labels or {}
            if unknown := [name for name in given if not name.isdecimal() and name not in names]:
                raise ValueError(
                    f"{self.source} has no label {unknown[0]!r}; labels are numbers or {[*names][:8]}"
                )
            given = [int(name) if name.isdecimal() else names[name] for name in given]
        if self.family.reads == "nothing":
            given = len(given)
        options = {**self._size}
        if self.family.guidance == "free":
            options["guidance_scale"] = guidance
        return first_call(
            self.pipeline, self.denoiser, given, self.family.shared, num_inference_steps=steps, **options
        )

    def decode(self, latents: Float[Tensor, "B ..."]) -> Float[Tensor, "B 3 H W"]:
        """Images in [0, 1], float32.

        Raises:
            FloatingPointError: values leave the range of the autoencoder's dtype.
        """
        return autoencoder.decode(self, latents)

    def latents(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B ..."]:
        """Latents of images in [0, 1]: the mean of the autoencoder's posterior, in the model's dtype."""
        return autoencoder.encode(self, images)

    def score(self, t: float, prompts: Prompts | None = None) -> Score:
        """Score at time `t` under prompts, or the unconditional one; at alpha = 0 the predicted x_0.

        A batch holds the samples of each prompt in a row: B is a multiple of the number of prompts.

        Raises:
            ValueError: for a time outside the schedule or, when called, a batch that does not fit.
        """
        text = self.empty if prompts is None else prompts
        name = "unconditional" if prompts is None else f"{len(prompts)} prompts"

        def fn(x: Tensor) -> Tensor:
            return self.estimates(t, x, text.repeated(len(x)))

        return self._kind(t)(fn, **self.level(t), name=f"{name} at t={t}")

    def _kind(self, t: float) -> type[Score]:
        faint = self.prediction != "epsilon" and self.level(t)["alpha"] < _FAINT
        return Denoiser if self.prediction == "flow" or faint else Score

    def difference(self, t: float, prompts: Prompts) -> JointDifference:
        """Conditional minus unconditional score, both from one doubled batch."""
        return JointDifference(self, t, prompts)

    def predict(self, t: float, x: Float[Tensor, "B ..."], conditions: Conditions) -> Float[Tensor, "B ..."]:
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
        found: Tensor = self.denoiser(x, timestep=self._clock.told(t, len(x)), **given, return_dict=False)[0]
        return found[:, : x.shape[1]]  # further channels are a variance

    def estimates(self, t: float, x: Float[Tensor, "B ..."], conditions: Conditions) -> Tensor:
        """What differences are computed from, for rows of x under their conditions; errors as `predict`.

        Scores. Of a rectified flow, and of velocities where alpha < 0.01, predicted x_0: scores of different
        prompts nearly agree at small alpha, their difference is rounding. `unit` makes score units of it.
        """
        level = {name: x.new_tensor(value) for name, value in self.level(t).items()}
        read = denoised_from_prediction if self._kind(t) is Denoiser else score_from_prediction
        return read(self.predict(t, x, conditions), x, kind=self.prediction, **level)

    def unit(self, t: float) -> float:
        """The score difference of one unit of a difference of `estimates`: alpha / sigma^2 of x_0, else 1."""
        score = self.score(t)
        return score.unit if isinstance(score, Denoiser) else 1.0

    def level(self, t: float) -> dict[str, float]:
        """`alpha` and `sigma` at time `t`."""
        if t not in self._levels:  # every pass asks, and reading two tensors takes a percent of a small one
            self._levels[t] = self.schedule.alpha(t).item(), self.schedule.sigma(t).item()
        alpha, sigma = self._levels[t]
        return {"alpha": alpha, "sigma": sigma}

    @cached_property
    def _levels(self) -> dict[float, tuple[float, float]]:
        return {}

    def timesteps(self, steps: int = _STEPS) -> list[float]:
        """The times that the pipeline visits, noisiest first: 981, 961, ..., 1 for 50 in Stable Diffusion.

        Those of DDIM where the pipeline's own scheduler has not one whole number for each step. Those of a
        rectified flow are noise scales, as the pipeline's own call sets them.

        Raises:
            ValueError: more steps than the spacing of the schedule allows.
        """
        return self._clock.times(steps)

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
        """Guided steps from `noise` as of diffusers' DDIM, of a rectified flow as of its Euler scheduler.

        A model that was distilled for guidance has its own scale, and one without prompts has none.

        Args:
            prompts: P prompts.
            noise: B rows, the samples of each prompt in a row.
            steps: the number of steps of the full trajectory.
            first_steps: how many of the first steps to take; the result is the state before the next.
            guidance: scale w of s_unconditional + w (s_conditional - s_unconditional).
            keep: positions among the sampled times whose states are returned.
            shared: n rows that `noise` repeats for every prompt; saves passes at the first step.
            observe: called at each step with t, x_t, the conditional and the unconditional `estimates`.
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
        last = float(getattr(self.scheduler, "final_alpha_cumprod", 1.0))
        end = self.level(times[count]) if count < steps else {"alpha": last**0.5, "sigma": (1 - last) ** 0.5}
        known = None
        if shared is not None and (self.family.guidance == "free" or observe is not None):
            known = unconditional_estimates(self, times[0], shared)

        def guided(t: float) -> Score:
            return self._guided(t, prompts, guidance, known if t == times[0] else None, observe)

        return ddim(
            guided,
            self.schedule,
            noise,
            times=times[:count],
            end=(end["alpha"], end["sigma"]),
            keep=keep,
            progress=progress,
        )

    def _guided(
        self, t: float, prompts: Prompts, guidance: float, known: Tensor | None, observe: Observer | None
    ) -> Score:
        difference, free = self.difference(t, prompts), self.family.guidance == "free"

        def fn(x: Tensor) -> Tensor:
            if not free and observe is None:
                return self.estimates(t, x, prompts.repeated(len(x)))
            conditional, unconditional = difference.both(x, known)
            if observe is not None:
                observe(t, x, conditional, unconditional)
            return unconditional + guidance * (conditional - unconditional) if free else conditional

        return self._kind(t)(fn, **self.level(t), name=f"guidance {guidance:g} at t={t}")
