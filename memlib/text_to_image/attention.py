"""Cross-attention maps of a U-Net, read while a context is open."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class CrossAttention:
    """Attention of the last pass.

    Attributes:
        maps: name of a cross-attention layer -> `(B, pixels, L)` float32, the mean over heads of the weights
            that each pixel of the layer gives to the L tokens; in the order in which the layers ran.
    """

    maps: dict[str, Tensor] = field(default_factory=dict)


@contextmanager
def cross_attention(unet: Any, rows: int | None = None) -> Iterator[CrossAttention]:
    """Record the cross-attention of every pass of a diffusers U-Net.

    The layers compute what they did before, with the same kernels; the weights are computed beside them.
    On leaving, also by an error, every layer has its own processor again.

    Args:
        unet: the U-Net.
        rows: how many of the first rows of a batch are recorded; None records all.

    Example (of a model in a folder):
        ``with cross_attention(model.unet) as seen: model.score(981, prompts)(x)`` fills ``seen.maps``.
    """
    before = dict(unet.attn_processors)
    seen = CrossAttention()
    recording = {
        name: _Recorder(processor, seen, name, rows) if name.endswith("attn2.processor") else processor
        for name, processor in before.items()
    }
    try:
        unet.set_attn_processor(recording)
        yield seen
    finally:
        unet.set_attn_processor(before)


class _Recorder:
    """An attention processor that notes the weights and leaves the work to the one it replaces."""

    def __init__(self, processor: Any, seen: CrossAttention, name: str, rows: int | None) -> None:
        self.processor, self.seen, self.name = processor, seen, name.removesuffix(".processor")
        self.rows = slice(rows)

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        **options: Any,
    ) -> Tensor:
        text = (hidden_states if encoder_hidden_states is None else encoder_hidden_states)[self.rows]
        mask = None if attention_mask is None else attention_mask[self.rows]
        with torch.no_grad():
            query = attn.head_to_batch_dim(attn.to_q(hidden_states[self.rows]))
            weights = attn.get_attention_scores(query, attn.head_to_batch_dim(attn.to_k(text)), mask)
        # pop: a layer that runs again goes to the end, so that the order stays that of the last pass.
        self.seen.maps.pop(self.name, None)
        self.seen.maps[self.name] = weights.float().unflatten(0, (len(text), -1)).mean(1)
        out: Tensor = self.processor(attn, hidden_states, encoder_hidden_states, attention_mask, **options)
        return out
