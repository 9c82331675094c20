"""Captions as a text encoder sees them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

_CHUNK = 256  # captions per pass of the text encoder


@dataclass(frozen=True, eq=False)
class Prompts:
    """Encoded captions; `prompts[2:5]` and `prompts[[0, 3]]` select some.

    Attributes:
        captions: P strings.
        tokens: `(P, L)` ids, padded to the tokenizer's length L.
        lengths: `(P,)` tokens before the padding, begin and end marks included, at most L.
        embeddings: `(P, L, D)` from the text encoder's last layer, in its dtype.
        removed: index of a caption that was too long -> the text that was cut from its end.
    """

    captions: tuple[str, ...]
    tokens: Int64[Tensor, "P L"]
    lengths: Int64[Tensor, " P"]
    embeddings: Float[Tensor, "P L D"]
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
            self.embeddings[rows],
            {new: self.removed[row] for new, row in enumerate(rows) if row in self.removed},
        )

    def repeated(self, rows: int) -> Tensor:
        """The embeddings for a batch of `rows`, each prompt for as many rows in a row.

        Raises:
            ValueError: the number of prompts does not divide that of rows.
        """
        if rows % len(self):
            raise ValueError(
                f"{len(self)} prompts do not fit a batch of {rows} rows; "
                "repeat every prompt's samples equally often, in a row"
            )
        return self.embeddings.repeat_interleave(rows // len(self), 0)

    def tiled(self, points: Float[Tensor, "n ..."]) -> Float[Tensor, "P*n ..."]:
        """A batch of points that all prompts share: all of them for the first prompt, then for the next."""
        return points.repeat(len(self), *[1] * (points.ndim - 1))

    def grouped(self, rows: Float[Tensor, "P*n ..."]) -> Float[Tensor, "P n ..."]:
        """The rows of a batch by prompt; undoes how `tiled` and `repeated` lay it out."""
        grouped: Tensor = rows.unflatten(0, (len(self), -1))
        return grouped


@torch.no_grad()
def encode(tokenizer: Any, text_encoder: Any, captions: Sequence[str]) -> Prompts:
    """Tokens and embeddings of captions.

    Captions longer than the tokenizer's limit are cut, named in `Prompts.removed` and warned of.

    Raises:
        ValueError: no caption, or something that is no string.
    """
    if isinstance(captions, str):
        raise ValueError(
            f"captions must be a list of strings, got the string {captions[:40]!r}; put it in []"
        )
    given = list(captions)
    if not given or not all(isinstance(caption, str) for caption in given):
        kinds = sorted({type(caption).__name__ for caption in given})
        raise ValueError(f"captions must be one string or more, got {len(given)} of type {kinds}")
    limit = min(tokenizer.model_max_length, text_encoder.config.max_position_embeddings)
    padded = tokenizer(given, padding="max_length", max_length=limit, truncation=True, return_tensors="pt")
    embeddings = [
        text_encoder(ids.to(text_encoder.device))[0] for ids in torch.split(padded.input_ids, _CHUNK)
    ]
    return Prompts(
        tuple(given),
        padded.input_ids,
        padded.attention_mask.sum(1),
        torch.cat(embeddings),
        _removed(tokenizer, given, limit),
    )


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
            stacklevel=4,
        )
    return removed
