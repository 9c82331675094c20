"""What every mitigation offers, and how it is run."""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from typing import Protocol

import torch
from jaxtyping import Float, Float64
from torch import Tensor
from tqdm import tqdm

from memlib import checks
from memlib.mitigation.record import Mitigated, Record, Task
from memlib.text_to_image import Prompts, TextToImage, TruncationWarning


class UnreachedWarning(UserWarning):
    """A threshold was not reached for some images."""


class Method(Protocol):
    """A way to keep a model from returning a copy.

    One that changes more than the noise says so by `needs`, as `TextToImage.check_applies` takes it.
    """

    @property
    def name(self) -> str:
        """For tables and messages."""

    def __call__(self, task: Task) -> Mitigated:
        """Noise, prompts and attention to sample with instead."""


def check_applies(model: TextToImage, method: Method) -> None:
    """Raise `ValueError` where a method has no meaning for a model, such as captions for one of labels."""
    model.check_applies(getattr(method, "needs", "noise"), [method.name])


def apply(
    model: TextToImage,
    method: Method,
    prompts: Prompts,
    noise: Float[Tensor, "n ..."] | Float[Tensor, "P n ..."],
    *,
    steps: int = 50,
    generator: torch.Generator | None = None,
    rows: int = 64,
    progress: bool = False,
) -> Mitigated:
    """Run a method on P prompts with n noises each.

    A threshold that could not be reached is warned of, with the images it concerns; what is returned for
    them is the best that was found.

    Args:
        model: the text-to-image model.
        method: such as `Sail(threshold=1.0)`.
        prompts: P prompts.
        noise: `(n, *sample_shape)`, shared by all prompts, or `(P, n, *sample_shape)`.
        steps: the number of steps of the sampling that follows; x_T is judged at the first of its times.
        generator: makes a method's draws, on the CPU; None makes one with seed 0. What is drawn for a prompt
            depends on it and on the text of the prompt, on no other prompt and not on `rows`.
        rows: prompts times noises at a time, at least one prompt; bounds the memory.
        progress: show progress bars.

    Raises:
        ValueError: for noise of another shape, `rows` below 1, or a method without a meaning for the model.

    Example (of a model in a folder):
        ``apply(model, Sail(threshold=1.0), model.encode(["a cat"]), model.noise(4, generator)).sample()``
    """
    if rows < 1:
        raise ValueError(f"rows must be at least 1, got {rows}")
    check_applies(model, method)
    noise = _per_prompt(noise, len(prompts), model)
    source = torch.Generator().manual_seed(0) if generator is None else generator
    key = int(torch.randint(2**62, (), generator=source))
    together, t = max(1, rows // noise.shape[1]), model.timesteps(steps)[0]
    parts = []
    for start in tqdm(range(0, len(prompts), together), desc=method.name, disable=not progress):
        some = prompts[start : start + together]
        generators = [_generator(key, caption) for caption in some.captions]
        parts.append(method(Task(model, some, noise[start : start + together], t, generators, progress)))
    record = Record(
        **{f.name: torch.cat([getattr(p.record, f.name) for p in parts]).cpu() for f in fields(Record)}
    )
    _warn_unreached(method.name, record)
    return Mitigated(
        model,
        Prompts.joined([part.prompts for part in parts]),
        torch.cat([part.noise for part in parts]),
        record,
        steps,
        parts[0].attention,
    )


def objective(
    model: TextToImage,
    method: Method,
    prompts: Prompts,
    noise: Float[Tensor, "n ..."],
    *,
    steps: int = 50,
    rows: int = 64,
) -> Float64[Tensor, "P n"]:
    """The objective of a method at every noise, before any change; its threshold is not used.

    Args:
        model: the text-to-image model.
        method: one with a threshold.
        prompts: P prompts.
        noise: n noises that all prompts share.
        steps: the number of steps of the sampling at whose first step this is taken.
        rows: prompts times noises at a time, at least one prompt; bounds the memory.

    Raises:
        ValueError: the method has no threshold, and so minimises nothing.
    """
    if "threshold" not in {field.name for field in fields(method)}:  # type: ignore[arg-type]
        raise ValueError(f"{method.name} has no threshold and minimises nothing")
    accepting = replace(method, threshold=math.inf)  # type: ignore[type-var]  # met at once
    return apply(model, accepting, prompts, noise, steps=steps, rows=rows).record.objective


def _generator(key: int, caption: str) -> torch.Generator:
    seed = hashlib.sha256(f"{key} {caption}".encode()).digest()[:8]
    return torch.Generator().manual_seed(int.from_bytes(seed, "big"))


def _per_prompt(noise: Tensor, count: int, model: TextToImage) -> Tensor:
    checks.finite("noise", noise)
    shape = model.sample_shape
    if noise.ndim == len(shape) + 1:
        return checks.batched("noise", noise, shape).expand(count, *noise.shape)
    if noise.ndim != len(shape) + 2 or len(noise) != count or tuple(noise.shape[2:]) != shape:
        raise ValueError(
            f"noise must be (n, {', '.join(map(str, shape))}) for all prompts, or that for each of {count}, "
            f"got {tuple(noise.shape)}"
        )
    checks.batched("noise", noise.flatten(0, 1), shape)
    return noise


def _warn_unreached(name: str, record: Record) -> None:
    open_ = ~record.reached
    if open_.any():
        prompts = open_.any(1).nonzero().flatten().tolist()
        warnings.warn(
            f"{name}: the threshold, {record.threshold[open_].max():.4g}, was not reached for "
            f"{int(open_.sum())} of {open_.numel()} images, of the prompts {prompts[:8]}; the smallest "
            f"objectives found for them are {record.objective[open_].min():.4g} to "
            f"{record.objective[open_].max():.4g}. Give more steps or candidates, or a larger threshold",
            UnreachedWarning,
            stacklevel=3,
        )


@contextmanager
def quietly() -> Iterator[None]:
    """Without a warning for each call of `apply`, for tables that say what was cut and what was not met."""
    with warnings.catch_warnings():
        for kind in (TruncationWarning, UnreachedWarning):
            warnings.simplefilter("ignore", kind)
        yield
