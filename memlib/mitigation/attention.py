"""Cross-attention changed while a context is open, for conditional rows alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from memlib.text_to_image import Prompts, TextToImage


@dataclass(frozen=True)
class RescaledAttention:
    """How the weights that pixels give to tokens are changed before the softmax.

    Attributes:
        factor: by which the logit of the begin mark is multiplied.
        hide: whether the tokens after the end token get no weight.
        hide_end: whether the end token gets none either.
    """

    factor: float
    hide: bool = True
    hide_end: bool = False


@contextmanager
def rescaled_attention(model: TextToImage, prompts: Prompts, change: RescaledAttention) -> Iterator[None]:
    """Change the cross-attention of the model's U-Net in rows under one of `prompts`.

    Rows under other texts, the empty one of guidance above all, are computed as before. What
    `memlib.text_to_image.cross_attention` records inside is without the change. On leaving, also by an
    error, every layer has its own processor again.

    Raises:
        ValueError: a layer has normalisations that Stable Diffusion's lack.
    """
    unet = model.unet
    before = dict(unet.attn_processors)
    for name, layer in unet.named_modules():
        extra = [k for k in ("group_norm", "spatial_norm", "norm_q", "norm_k") if getattr(layer, k, None)]
        if name.endswith("attn2") and (extra or layer.norm_cross):
            raise ValueError(f"layer {name} has {extra or 'norm_cross'}: only plain attention can be changed")
    processor = _Rescaled(prompts, change)
    try:
        unet.set_attn_processor(
            {name: processor if name.endswith("attn2.processor") else own for name, own in before.items()}
        )
        yield
    finally:
        unet.set_attn_processor(before)


class _Rescaled:
    """Plain multi-head attention whose logits are changed where the text is one of the prompts'."""

    def __init__(self, prompts: Prompts, change: RescaledAttention) -> None:
        self.known, self.change = prompts.embeddings, change
        first = prompts.lengths - (1 if change.hide_end else 0)
        positions = torch.arange(self.known.shape[1])
        self.hidden = (positions >= first[:, None]) & torch.tensor(change.hide)  # (P, L)

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        **_: Any,
    ) -> Tensor:
        text = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        scale, bias = self._change(text)
        if attention_mask is not None:
            bias = bias + attention_mask.reshape(len(text), 1, 1, -1)

        def heads(x: Tensor) -> Tensor:
            split: Tensor = x.unflatten(2, (attn.heads, -1))
            return split.transpose(1, 2)

        query = heads(attn.to_q(hidden_states))
        key = heads(attn.to_k(text) * scale)  # a logit is linear in its key
        out = functional.scaled_dot_product_attention(
            query, key, heads(attn.to_v(text)), attn_mask=bias, scale=attn.scale
        )
        out = attn.to_out[1](attn.to_out[0](out.transpose(1, 2).flatten(2)))
        whole: Tensor = (out + hidden_states) if attn.residual_connection else out
        return whole / float(attn.rescale_output_factor)

    def _change(self, text: Tensor) -> tuple[Tensor, Tensor]:
        """Factors of the keys `(B, L, 1)` and terms added to the logits `(B, 1, 1, L)`."""
        same = (text[:, None] == self.known.to(text)).flatten(2).all(2)  # (B, P)
        ours = same.any(1)
        scale = text.new_ones(*text.shape[:2], 1)
        scale[ours, 0] = self.change.factor
        hidden = self.hidden.to(text.device)[same.int().argmax(1)] & ours[:, None]
        bias = text.new_zeros(hidden.shape).masked_fill(hidden, -torch.inf)
        return scale, bias[:, None, None]
