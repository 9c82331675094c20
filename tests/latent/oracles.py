"""The model's definitions, written out with diffusers' modules and autograd alone."""

from __future__ import annotations

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel


def embedding(model, caption):
    """What StableDiffusionPipeline feeds to the U-Net."""
    ids = model.tokenizer(
        [caption], padding="max_length", max_length=12, truncation=True, return_tensors="pt"
    ).input_ids
    with torch.no_grad():
        return model.text_encoder(ids).last_hidden_state


def score(model, kind, t, x, caption):
    """The score of one latent `(4, h, w)` from the U-Net's output and the cumulative product of alphas."""
    a = model.scheduler.alphas_cumprod.double()[t]
    out = model.unet(x[None], t, encoder_hidden_states=embedding(model, caption)).sample[0]
    if kind == "epsilon":
        return -out / (1 - a).sqrt()
    return -x - (a / (1 - a)).sqrt() * out


def difference(model, kind, t, x, caption):
    """Conditional minus unconditional."""
    return score(model, kind, t, x, caption) - score(model, kind, t, x, "")


def jacobian(model, kind, t, x, caption):
    """The dense Jacobian `(d, d)` of the difference, by autograd."""
    with sdpa_kernel(SDPBackend.MATH):
        J = torch.autograd.functional.jacobian(lambda y: difference(model, kind, t, y, caption), x)
    return J.reshape(x.numel(), x.numel())
