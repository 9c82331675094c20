"""Attention with a changed logit and hidden tokens against a transcription, and nothing left behind."""

import math

import pytest
import torch

from memlib.mitigation import AttentionRescaling, NoMitigation, apply
from memlib.mitigation.attention import RescaledAttention, rescaled_attention
from memlib.text_to_image import Conditions

CAPTIONS = ["a cat", "cat"]


def attention(layer, hidden, text, change):
    """`change(logits (pixels, L))` between the product of queries and keys and the softmax, head by head."""
    width = layer.to_q.out_features // layer.heads
    heads = []
    for head in range(layer.heads):
        part = slice(head * width, (head + 1) * width)
        query, key, value = (
            x @ w.weight[part].T for x, w in ((hidden, layer.to_q), (text, layer.to_k), (text, layer.to_v))
        )
        heads.append(torch.softmax(change(query @ key.T / math.sqrt(width)), dim=1) @ value)
    out = layer.to_out[0]
    return torch.cat(heads, dim=1) @ out.weight.T + out.bias


@pytest.mark.parametrize("end", [False, True])
def test_logits_are_changed_in_conditional_rows_alone(exact, generator, end):
    prompts = exact.encode(CAPTIONS)
    text = Conditions.joined([prompts.repeated(4), exact.empty.repeated(2)])
    states = text.arguments["encoder_hidden_states"]
    lengths = [4, 4, 3, 3]  # marks included
    assert prompts.lengths.tolist() == [4, 3]
    seen = []
    hooks = [
        module.register_forward_hook(
            lambda module, args, kwargs, out: seen.append((module, args[0], out)), with_kwargs=True
        )
        for name, module in exact.unet.named_modules()
        if name.endswith("attn2")
    ]
    x = exact.noise(6, generator)
    with torch.no_grad(), rescaled_attention(exact, prompts, RescaledAttention(1.3, hide_end=end)):
        exact.estimates(981, x, text)
    for hook in hooks:
        hook.remove()
    assert len(seen) == 4
    for layer, hidden, out in seen:
        for row in range(6):

            def change(logits, row=row):
                if row >= 4:
                    return logits
                logits = logits.clone()
                logits[:, 0] *= 1.3
                logits[:, lengths[row] - (1 if end else 0) :] = -math.inf
                return logits

            expected = attention(layer, hidden[row], states[row], change)
            torch.testing.assert_close(out[row], expected, rtol=0, atol=1e-10)


def test_no_change_asked_is_no_change(exact, generator):
    prompts, noise = exact.encode(CAPTIONS), exact.noise(2, generator)
    plain = apply(exact, NoMitigation(), prompts, noise, steps=3).sample()
    same = apply(exact, AttentionRescaling(1.0, hide=False), prompts, noise, steps=3).sample()
    other = apply(exact, AttentionRescaling(1.25), prompts, noise, steps=3).sample()
    torch.testing.assert_close(same, plain, rtol=0, atol=1e-9)
    assert ((other - plain).flatten(2).norm(dim=2) > 1e-3).all()


def test_sampling_in_parts_changes_nothing(exact, generator):
    prompts, noise = exact.encode(CAPTIONS), exact.noise(2, generator)
    found = apply(exact, AttentionRescaling(), prompts, noise, steps=3)
    torch.testing.assert_close(found.sample(rows=1), found.sample(), rtol=0, atol=1e-9)


def test_processors_are_restored_also_after_an_error(exact):
    before = dict(exact.unet.attn_processors)
    prompts = exact.encode(CAPTIONS)
    with rescaled_attention(exact, prompts, RescaledAttention(1.3)):
        assert any(exact.unet.attn_processors[name] is not own for name, own in before.items())
    assert all(exact.unet.attn_processors[name] is own for name, own in before.items())
    with pytest.raises(KeyError), rescaled_attention(exact, prompts, RescaledAttention(1.3)):
        raise KeyError
    assert all(exact.unet.attn_processors[name] is own for name, own in before.items())


def test_layers_with_normalisation_of_their_own_are_refused(exact):
    layer = next(m for name, m in exact.unet.named_modules() if name.endswith("attn2"))
    layer.group_norm = torch.nn.Identity()
    try:
        with (
            pytest.raises(ValueError, match="only plain attention"),
            rescaled_attention(exact, exact.encode(["cat"]), RescaledAttention(1.3)),
        ):
            pass
    finally:
        layer.group_norm = None
