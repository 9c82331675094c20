"""Attention maps against a transcription of attention, and that nothing is left behind."""

import math

import pytest
import torch

from memlib.text_to_image import cross_attention

CAPTIONS = ["a cat", "cat"]
T = 500


def kinds(unet):
    return {name: type(processor) for name, processor in unet.attn_processors.items()}


def test_maps_are_softmax_of_queries_and_keys(exact, generator):
    prompts, x = exact.encode(CAPTIONS), exact.noise(4, generator)
    inputs = {}
    hooks = [
        module.register_forward_pre_hook(
            lambda module, args, kwargs, name=name: inputs.update(
                {name: (module, args[0], kwargs["encoder_hidden_states"])}
            ),
            with_kwargs=True,
        )
        for name, module in exact.unet.named_modules()
        if name.endswith("attn2")
    ]
    with torch.no_grad(), cross_attention(exact.unet) as seen:
        exact.score(T, prompts)(x)
    for hook in hooks:
        hook.remove()
    assert list(seen.maps) == list(inputs)  # in the order in which they run
    assert next(iter(seen.maps)).startswith("down_blocks.0")
    assert list(seen.maps)[-1].startswith("up_blocks.1")
    for name, (layer, hidden, text) in inputs.items():
        expected = []
        for head in range(layer.heads):
            width = layer.to_q.out_features // layer.heads
            part = slice(head * width, (head + 1) * width)
            query, key = hidden @ layer.to_q.weight[part].T, text @ layer.to_k.weight[part].T
            expected.append(torch.softmax(query @ key.mT / math.sqrt(width), dim=2))
        torch.testing.assert_close(seen.maps[name], torch.stack(expected).mean(0).float(), rtol=0, atol=1e-6)
        assert seen.maps[name].shape == (4, hidden.shape[1], 12)


def test_the_first_rows_alone(exact, generator):
    prompts, x = exact.encode(CAPTIONS), exact.noise(4, generator)
    with torch.no_grad():
        with cross_attention(exact.unet) as whole:
            expected = exact.score(T, prompts)(x)
        with cross_attention(exact.unet, 3) as seen:
            assert torch.equal(exact.score(T, prompts)(x), expected)
    for name, layer in whole.maps.items():
        torch.testing.assert_close(seen.maps[name], layer[:3], rtol=0, atol=1e-6)


def test_scores_and_their_gradients_do_not_change(exact, generator):
    prompts, x = exact.encode(CAPTIONS), exact.noise(2, generator).requires_grad_()

    def both():
        value = exact.score(T, prompts)(x)
        return value, torch.autograd.grad(value.square().sum(), x)[0]

    plain = both()
    with cross_attention(exact.unet) as seen:
        recorded = both()
    assert all(torch.equal(a, b) for a, b in zip(plain, recorded, strict=True))
    assert not any(layer.requires_grad for layer in seen.maps.values())


def test_the_last_pass_replaces_the_one_before(exact, generator):
    x = exact.noise(2, generator)
    with torch.no_grad(), cross_attention(exact.unet) as seen:
        exact.score(T, exact.encode(["cat"]))(x)
        first = dict(seen.maps)
        exact.score(T, exact.encode(["a"]))(x[:1])
    assert list(first) == list(seen.maps)
    assert {len(layer) for layer in seen.maps.values()} == {1}


def test_processors_are_restored_also_after_an_error(exact):
    before = dict(exact.unet.attn_processors)
    with cross_attention(exact.unet):
        assert kinds(exact.unet) != {name: type(processor) for name, processor in before.items()}
    assert all(exact.unet.attn_processors[name] is processor for name, processor in before.items())
    with pytest.raises(KeyError), cross_attention(exact.unet):
        raise KeyError
    assert all(exact.unet.attn_processors[name] is processor for name, processor in before.items())


def test_processors_of_a_users_own_go_on_working(exact, generator):
    from diffusers.models.attention_processor import AttnProcessor

    x, prompts = exact.noise(1, generator), exact.encode(["cat"])
    before = dict(exact.unet.attn_processors)
    own = AttnProcessor()
    try:
        exact.unet.set_attn_processor(own)
        with torch.no_grad(), cross_attention(exact.unet) as seen:
            exact.score(T, prompts)(x)
        assert seen.maps
        assert all(processor is own for processor in exact.unet.attn_processors.values())
    finally:
        exact.unet.set_attn_processor(before)
