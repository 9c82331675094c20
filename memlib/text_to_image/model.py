"""A text-to-image latent diffusion model, read as scores of its latents under captions."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from memlib import checks
from memlib.sampling import Trajectory, ddim
from memlib.schedule import score_from_prediction
from memlib.score import Score
from memlib.text_to_image import loading
from memlib.text_to_image.difference import JointDifference
from memlib.text_to_image.first_step import unconditional_scores
from memlib.text_to_image.parts import Parts
from memlib.text_to_image.prompts import Prompts

Observer = Callable[[int, Tensor, Tensor, Tensor], None]


class TextToImage(Parts):
    """A latent diffusion model; its `Parts` are attributes."""

    @classmethod
    def load(
        cls,
        source: str | os.PathLike[str],
        *,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        revision: str | None = None,
    ) -> TextToImage:
        """Read a pipeline folder, or a model of the hub by its id.

        Weights are read from safetensors alone, never from a pickle, and no code of the folder runs. Of a hub
        repository only the needed files are fetched.

        Args:
            source: a folder as written by diffusers' `save_pretrained`, or an id such as
                "CompVis/stable-diffusion-v1-4".
            device: where the networks run.
            dtype: the dtype of all networks; points given to scores have the same.
            revision: commit, tag or branch on the hub; a commit makes the result repeatable.

        Raises:
            ImportError: diffusers or transformers is not installed.
            ModelError: a part is missing or of another kind, or weights come only as pickles.
        """
        return cls(**vars(loading.read(source, device=device, dtype=dtype, revision=revision)))

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

    def scores(self, t: int, x: Float[Tensor, "B ..."], embeddings: Float[Tensor, "B L D"]) -> Tensor:
        """Scores of rows of x, each under its own text embedding.

        Raises:
            ValueError: x has another shape or dtype than the model's latents.
        """
        checks.shaped("x", x, self.sample_shape)
        if x.dtype != self.dtype:
            raise ValueError(
                f"the model runs in {self.dtype}, x is {x.dtype}; convert x, or load the model with dtype="
            )
        prediction = self.unet(x, t, encoder_hidden_states=embeddings, return_dict=False)[0]
        level = {name: x.new_tensor(value) for name, value in self.level(t).items()}
        return score_from_prediction(prediction, x, kind=self.prediction, **level)

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
        """The times that diffusers' DDIM visits, noisiest first: 981, 961, ..., 1 for 50 in Stable Diffusion.

        Raises:
            ValueError: more steps than the spacing of the schedule allows.
        """
        if not 1 <= steps <= self.schedule.steps:
            raise ValueError(f"steps must lie in [1, {self.schedule.steps}], got {steps}")
        clock = type(self.scheduler).from_config(self.scheduler.config)
        clock.set_timesteps(steps)
        times: list[int] = clock.timesteps.tolist()
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
        visit: int | None = None,
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
            visit: how many of the first steps to take; the result is the state before the next.
            guidance: scale w of s_unconditional + w (s_conditional - s_unconditional).
            keep: positions among the visited times whose states are returned.
            shared: n rows that `noise` repeats for every prompt; saves passes at the first step.
            observe: called at each step with t, x_t, the conditional and the unconditional score.
            progress: show a progress bar.

        Returns:
            The final latents, for `decode`, and the states kept.
        """
        times = self.timesteps(steps)
        visit = steps if visit is None else visit
        if not 1 <= visit <= steps:
            raise ValueError(f"visit must lie in [1, {steps}], got {visit}")
        if shared is not None and not torch.equal(noise, prompts.tiled(shared)):
            raise ValueError(
                "noise must be shared tiled for all prompts (prompts.tiled); else leave shared out"
            )
        last = float(self.scheduler.final_alpha_cumprod)
        end = self.level(times[visit]) if visit < steps else {"alpha": last**0.5, "sigma": (1 - last) ** 0.5}

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
            times=times[:visit],
            end=(end["alpha"], end["sigma"]),
            keep=keep,
            progress=progress,
        )
