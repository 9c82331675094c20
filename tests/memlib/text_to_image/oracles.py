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


def scores(model, kind, t, x, caption):
    """The scores of latents `(B, 4, h, w)` from the U-Net's output and the cumulative product of alphas."""
    a = model.scheduler.alphas_cumprod.double()[t]
    text = embedding(model, caption).expand(len(x), -1, -1)
    out = model.unet(x, t, encoder_hidden_states=text).sample
    if kind == "epsilon":
        return -out / (1 - a).sqrt()
    return -x - (a / (1 - a)).sqrt() * out


def score(model, kind, t, x, caption):
    """The score of one latent `(4, h, w)`."""
    return scores(model, kind, t, x[None], caption)[0]


def difference(model, kind, t, x, caption):
    """Conditional minus unconditional."""
    return score(model, kind, t, x, caption) - score(model, kind, t, x, "")


def jacobian(model, kind, t, x, caption):
    """The dense Jacobian `(d, d)` of a score: one copy of the latent for each row."""
    d = x.numel()
    copies = x.expand(d, *x.shape).clone().requires_grad_()
    with sdpa_kernel(SDPBackend.MATH):
        out = scores(model, kind, t, copies, caption).flatten(1)
        (rows,) = torch.autograd.grad(out, copies, torch.eye(d, dtype=x.dtype))
    return rows.flatten(1)
