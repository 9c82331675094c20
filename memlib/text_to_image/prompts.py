"""Captions as a pipeline hands them to its denoiser, recorded from its own call and replayed."""

from __future__ import annotations

import inspect
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

_CHUNK = 256  # captions per pass of the text encoders


class TruncationWarning(UserWarning):
    """Captions were longer than what the model reads, and were cut."""


@dataclass(frozen=True, eq=False)
class Conditions:
    """Arguments of a denoiser, a row for each point of a batch; `conditions[2:5]` selects some.

    Attributes:
        arguments: by name; tensors have the rows first, dictionaries hold such tensors.
        shared: those that are the same for any batch.
        rows: their number.
    """

    arguments: dict[str, Any]
    shared: dict[str, Any]
    rows: int

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, index: slice | Sequence[int] | Tensor) -> Conditions:
        rows = len(torch.arange(self.rows)[index if isinstance(index, slice) else torch.as_tensor(index)])
        return Conditions(_each(self.arguments, lambda value: value[index]), self.shared, rows)

    def repeat(self, times: int) -> Conditions:
        """Every row repeated `times` times, one after the other."""
        found = _each(self.arguments, lambda value: value.repeat_interleave(times, 0))
        return Conditions(found, self.shared, self.rows * times)

    def changed(self, **arguments: Tensor) -> Conditions:
        """The same with other values of some arguments."""
        return Conditions(self.arguments | arguments, self.shared, self.rows)

    def differing(self, other: Conditions) -> Bool[Tensor, " rows"]:
        """Which rows have another value of any argument."""
        pairs = zip(_tensors(self.arguments), _tensors(other.arguments), strict=True)
        return torch.stack([(one != two).reshape(self.rows, -1).any(1) for one, two in pairs]).any(0)

    @classmethod
    def joined(cls, parts: Sequence[Conditions]) -> Conditions:
        """The rows of parts of one model, one after the other."""
        first, *others = (part.arguments for part in parts)
        return cls(_each(first, _cat, *others), parts[0].shared, sum(part.rows for part in parts))


def _cat(*values: Tensor) -> Tensor:
    return torch.cat(values)


def _tensors(arguments: dict[str, Any]) -> list[Tensor]:
    inside = [_tensors(value) if isinstance(value, dict) else [value] for value in arguments.values()]
    return [value for values in inside for value in values if isinstance(value, Tensor)]


def _each(
    arguments: dict[str, Any], change: Callable[..., Tensor], *others: dict[str, Any]
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in arguments.items():
        beside = [other[name] for other in others]
        if isinstance(value, dict):
            found[name] = _each(value, change, *beside)
        else:
            found[name] = change(value, *beside) if isinstance(value, Tensor) else value
    return found


@dataclass(frozen=True, eq=False)
class FirstCall:
    """The call with which a pipeline begins.

    Attributes:
        x: points, one a row.
        timestep: as the denoiser is told it.
        conditions: everything else.
    """

    x: Tensor
    timestep: Tensor
    conditions: Conditions


class _Reached(Exception):  # noqa: N818
    """The pipeline called its denoiser."""


def first_call(
    pipeline: Any, denoiser: Any, given: Any, shared: Sequence[str] = (), **options: Any
) -> FirstCall:
    """Run a pipeline up to the first call of its denoiser, and record that call.

    Args:
        pipeline: of diffusers.
        denoiser: its network.
        given: the first argument of its call: prompts, labels, or a number of samples.
        shared: names of arguments whose first axis is not that of the batch.
        options: further arguments of the pipeline's call.
    """
    seen: dict[str, Any] = {}
    signature = inspect.signature(denoiser.forward)

    def note(_: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        seen.update(signature.bind(*given, **named).arguments)
        raise _Reached

    hook = denoiser.register_forward_pre_hook(note, with_kwargs=True, prepend=True)
    try:
        # A generator of its own: the pipeline draws noise, and nobody's numbers may depend on that.
        pipeline(given, generator=torch.Generator().manual_seed(0), output_type="latent", **options)
    except _Reached:
        pass
    finally:
        hook.remove()
    seen.pop("return_dict", None)
    x, timestep = seen.pop(next(iter(signature.parameters))), torch.as_tensor(seen.pop("timestep"))
    common = {name: seen.pop(name) for name in shared if name in seen}
    own = {name: value for name, value in seen.items() if value is not None}
    return FirstCall(x, timestep, Conditions(own, common, len(x)))


@dataclass(frozen=True, eq=False)
class Prompts:
    """Encoded captions; `prompts[2:5]` and `prompts[[0, 3]]` select some.

    Attributes:
        captions: P strings.
        tokens: `(P, L)` ids, padded to the length L that the model reads; L = 0 for labels.
        lengths: `(P,)` tokens before the padding, begin and end tokens included, at most L.
        conditions: P rows, the inputs of the denoiser that depend on them.
        removed: index of a caption that was too long -> the text that was cut from its end.
    """

    captions: tuple[str, ...]
    tokens: Int64[Tensor, "P L"]
    lengths: Int64[Tensor, " P"]
    conditions: Conditions
    removed: dict[int, str]

    def __len__(self) -> int:
        return len(self.captions)

    def __getitem__(self, index: slice | Sequence[int]) -> Prompts:
        rows = list(range(len(self)))[index] if isinstance(index, slice) else list(index)
        if not rows:
            raise ValueError(f"{index} selects none of the {len(self)} prompts")
        return Prompts(
            tuple(self.captions[row] for row in rows),
            self.tokens[rows],
            self.lengths[rows],
            self.conditions[rows],
            {new: self.removed[row] for new, row in enumerate(rows) if row in self.removed},
        )

    @property
    def embeddings(self) -> Float[Tensor, "P L D"]:
        """The text embeddings that the denoiser attends to, in its dtype."""
        found: Tensor = self.conditions.arguments["encoder_hidden_states"]
        return found

    def with_embeddings(self, embeddings: Float[Tensor, "P L D"]) -> Prompts:
        """The same captions with other embeddings."""
        return replace(self, conditions=self.conditions.changed(encoder_hidden_states=embeddings))

    def repeated(self, rows: int) -> Conditions:
        """The conditions for a batch of `rows`, each prompt for as many rows in a row.

        Raises:
            ValueError: the number of prompts does not divide that of rows.
        """
        if rows % len(self):
            raise ValueError(
                f"{len(self)} prompts do not fit a batch of {rows} rows; "
                "repeat every prompt's samples equally often, in a row"
            )
        return self.conditions.repeat(rows // len(self))

    def tiled(self, points: Float[Tensor, "n ..."]) -> Float[Tensor, "P*n ..."]:
        """A batch of points that all prompts share: all of them for the first prompt, then for the next."""
        return points.repeat(len(self), *[1] * (points.ndim - 1))

    def grouped(self, rows: Float[Tensor, "P*n ..."]) -> Float[Tensor, "P n ..."]:
        """The rows of a batch by prompt; undoes how `tiled` and `repeated` lay it out."""
        grouped: Tensor = rows.unflatten(0, (len(self), -1))
        return grouped

    @classmethod
    def joined(cls, parts: Sequence[Prompts]) -> Prompts:
        """The prompts of parts, one after the other."""
        removed: dict[int, str] = {}
        done = 0
        for part in parts:
            removed |= {done + row: text for row, text in part.removed.items()}
            done += len(part)
        return cls(
            tuple(caption for part in parts for caption in part.captions),
            torch.cat([part.tokens for part in parts]),
            torch.cat([part.lengths for part in parts]),
            Conditions.joined([part.conditions for part in parts]),
            removed,
        )


@torch.no_grad()
def encode(
    pipeline: Any, conditions: Callable[[Sequence[str]], Conditions], captions: Sequence[str]
) -> Prompts:
    """Captions with what the denoiser is told of them.

    Captions longer than the tokenizer's limit are cut, named in `Prompts.removed` and warned of.

    Args:
        pipeline: of diffusers.
        conditions: captions -> a row for each, from the pipeline.
        captions: one or more.

    Raises:
        ValueError: no caption, or something that is no string.
        FloatingPointError: what the text encoders give is not finite.
    """
    if isinstance(captions, str):
        raise ValueError(
            f"captions must be a list of strings, got the string {captions[:40]!r}; put it in []"
        )
    given = list(captions)
    if not given or not all(isinstance(caption, str) for caption in given):
        kinds = sorted({type(caption).__name__ for caption in given})
        raise ValueError(f"captions must be one string or more, got {len(given)} of type {kinds}")
    tokenizer, limit = reader(pipeline)
    texts = given
    if tokenizer is None:
        none = torch.zeros(len(given), 0, dtype=torch.int64)
        return Prompts(tuple(given), none, none.sum(1), conditions(given), {})
    with _unremarked():
        if hasattr(pipeline, "maybe_convert_prompt"):  # a word learnt by textual inversion may be of several
            texts = pipeline.maybe_convert_prompt(given, tokenizer)
        found = Conditions.joined(
            [conditions(given[start : start + _CHUNK]) for start in range(0, len(given), _CHUNK)]
        )
    padded = tokenizer(texts, padding="max_length", max_length=limit, truncation=True, return_tensors="pt")
    prompts = Prompts(
        tuple(given), padded.input_ids, padded.attention_mask.sum(1), found, _removed(tokenizer, texts, limit)
    )
    told = [value for value in _tensors(found.arguments) if value.dtype.is_floating_point]
    if not (good := torch.cat([torch.isfinite(v).reshape(len(v), -1) for v in told], 1).all(1)).all():
        first = given[int((~good).nonzero()[0])]
        raise FloatingPointError(
            f"the text encoder gives NaN or infinity for {first[:80]!r}; load the model with float32 or "
            "bfloat16 (--dtype float32), whose range is larger than that of float16"
        )
    return prompts


def reader(pipeline: Any) -> tuple[Any, int]:
    """The tokenizer that reads most of a caption, or None, and how many tokens of it the pipeline takes."""
    longest = inspect.signature(type(pipeline).__call__).parameters.get("max_sequence_length")
    for name in ("tokenizer_3", "tokenizer_2", "tokenizer"):
        found = getattr(pipeline, name, None)
        if found is not None and longest is not None and "CLIP" not in type(found).__name__:
            return found, int(longest.default)
    found = getattr(pipeline, "tokenizer", None)
    return found, 0 if found is None else int(found.model_max_length)


@contextmanager
def _unremarked() -> Iterator[None]:
    """Without what diffusers and transformers log of captions that are cut, which `Prompts.removed` names."""
    loggers = [logging.getLogger(name) for name in ("diffusers", "transformers")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _removed(tokenizer: Any, captions: list[str], limit: int) -> dict[int, str]:
    whole = tokenizer(captions, truncation=False, verbose=False).input_ids
    removed = {
        row: tokenizer.decode(ids[limit - 1 : -1]) for row, ids in enumerate(whole) if len(ids) > limit
    }
    if removed:
        row = min(removed)
        warnings.warn(
            f"{len(removed)} of {len(captions)} captions are longer than {limit} tokens and were cut; "
            f"the first, number {row}, lost {removed[row][:80]!r}",
            TruncationWarning,
            stacklevel=5,
        )
    return removed
