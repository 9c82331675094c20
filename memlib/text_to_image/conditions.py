"""What a denoiser is told beside points and time: taken down while the pipeline calls it, given again."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


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
        """Every row so many times in a row."""
        found = _each(self.arguments, lambda value: value.repeat_interleave(times, 0))
        return Conditions(found, self.shared, self.rows * times)

    def changed(self, **arguments: Tensor) -> Conditions:
        """The same with other values of some arguments."""
        return Conditions(self.arguments | arguments, self.shared, self.rows)

    @classmethod
    def joined(cls, parts: Sequence[Conditions]) -> Conditions:
        """The rows of parts of one model, one after the other."""
        first, *others = (part.arguments for part in parts)
        return cls(_each(first, _cat, *others), parts[0].shared, sum(part.rows for part in parts))


def _cat(*values: Tensor) -> Tensor:
    return torch.cat(values)


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
    pipeline: Any, denoiser: Any, captions: Sequence[str], shared: Sequence[str] = (), **options: Any
) -> FirstCall:
    """Run a pipeline up to the first call of its denoiser, and take that down.

    Args:
        pipeline: of diffusers.
        denoiser: its network.
        captions: prompts.
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
        pipeline(list(captions), generator=torch.Generator().manual_seed(0), output_type="latent", **options)
    except _Reached:
        pass
    finally:
        hook.remove()
    seen.pop("return_dict", None)
    x, timestep = seen.pop(next(iter(signature.parameters))), torch.as_tensor(seen.pop("timestep"))
    common = {name: seen.pop(name) for name in shared if name in seen}
    own = {name: value for name, value in seen.items() if value is not None}
    return FirstCall(x, timestep, Conditions(own, common, len(x)))
