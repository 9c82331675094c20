"""Both trainings draw what they say and go on after an end at any step as if it had not been."""

import math
from dataclasses import replace

import pytest
import torch

pytest.importorskip("diffusers")
pytest.importorskip("transformers")

from companion.fitting.loop import FitConfig
from companion.organism import captions
from companion.organism.tokenizer import tokenizer
from companion.organism.training import (
    UNCONDITIONAL,
    caption_tokens,
    captioned_latents,
    encode,
    fresh_images,
    train_autoencoder,
    train_text_to_image,
)
from memlib.schedule import VariancePreserving

CONFIG = FitConfig(steps=3, batch=4, warmup=1)


class PowerCut(BaseException):
    """Ends a training as a signal would: nothing in it catches this."""


def interrupted(draw, after):
    calls = []

    def cut(batch, generator):
        if len(calls) == after:
            raise PowerCut
        calls.append(batch)
        return draw(batch, generator)

    return cut


def same(first, second):
    weights = zip(first.network.state_dict().values(), second.network.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in weights) and torch.equal(first.losses, second.losses)


@pytest.fixture
def trainings(tiny_autoencoder, tiny_model, few):
    """Name -> (builds a network, the batches, trains)."""
    latents = captioned_latents(tiny_autoencoder().model.eval(), few)

    def learn(prediction):
        return lambda network, draw, **options: train_text_to_image(
            network, draw, prediction, CONFIG, data={"set": "few"}, **options
        )

    return {
        "autoencoder": (
            tiny_autoencoder,
            fresh_images(),
            lambda network, draw, **options: train_autoencoder(
                network, draw, replace(CONFIG, precision="bfloat16"), data={}, **options
            ),
        ),
        "epsilon": (tiny_model, latents, learn("epsilon")),
        "v": (tiny_model, latents, learn("v")),
    }


@pytest.mark.parametrize("name", ["autoencoder", "epsilon", "v"])
def test_interrupted_and_resumed_is_bit_identical(trainings, tmp_path, name):
    build, draw, learn = trainings[name]
    whole = learn(build(), draw)
    assert whole.losses.isfinite().all()
    for after in (1, 2):
        state = tmp_path / f"{after}.safetensors"
        with pytest.raises(PowerCut):
            learn(build(), interrupted(draw, after), state=state, save_every=1)
        # Nothing may come from the initial weights of the second process.
        assert same(whole, learn(build(1), draw, state=state, save_every=1))


def test_a_state_of_other_data_or_prediction_is_refused(tiny_model, trainings, tmp_path):
    _, draw, learn = trainings["epsilon"]
    learn(tiny_model(), draw, state=tmp_path / "state")
    with pytest.raises(ValueError, match="left by another training"):
        trainings["v"][2](tiny_model(), draw, state=tmp_path / "state")
    with pytest.raises(ValueError, match="left by another training"):
        train_text_to_image(
            tiny_model(), draw, "epsilon", CONFIG, data={"set": "other"}, state=tmp_path / "state"
        )


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
def test_the_loss_is_that_of_the_prediction(tiny_model, trainings, prediction):
    """A network that predicts zero leaves E eps^2 = 1, or alpha^2 + sigma^2 E x0^2 of v."""
    network, draw = tiny_model(), trainings["epsilon"][1]
    for parameter in network.unet.conv_out.parameters():
        torch.nn.init.zeros_(parameter)
    config = replace(CONFIG, steps=1, batch=512)
    loss = train_text_to_image(network, draw, prediction, config, data={}).losses[0].item()
    schedule, power = VariancePreserving.scaled_linear(), draw(512, torch.Generator())[0].square().mean()
    t = torch.arange(schedule.steps)
    v = (schedule.alpha(t).square() + schedule.sigma(t).square() * power).mean().item()
    assert loss == pytest.approx({"epsilon": 1.0, "v": v}[prediction], rel=0.15)


def test_v_is_diffusers_velocity(tiny_model, trainings, monkeypatch):
    """A network that knows the answer as diffusers defines it has no loss."""
    from companion.organism.parts import scheduler

    network, draw, seen = tiny_model(), trainings["v"][1], {}

    def spy(batch, generator):
        seen["x0"], tokens = draw(batch, generator)
        return seen["x0"], tokens

    def oracle(x, t, tokens):
        process = scheduler("v")
        alpha = process.alphas_cumprod[t].sqrt().view(-1, 1, 1, 1)
        sigma = (1 - process.alphas_cumprod[t]).sqrt().view(-1, 1, 1, 1)
        noise = (x - alpha * seen["x0"]) / sigma
        weight = network.unet.conv_out.weight.sum() * 0  # something to differentiate
        return process.get_velocity(seen["x0"], noise, t) + weight

    monkeypatch.setattr(network, "forward", oracle)
    for parameter in network.parameters():
        parameter.requires_grad_(parameter is network.unet.conv_out.weight)
    loss = train_text_to_image(network, spy, "v", replace(CONFIG, steps=1), data={}).losses
    assert loss.item() < 1e-6


def test_the_autoencoder_sees_no_exact_copy():
    draw = fresh_images()
    x, none = draw(64, torch.Generator().manual_seed(0))
    assert none is None
    assert x.shape == (64, 3, 32, 32)
    assert len({y.numpy().tobytes() for y in x}) == 64
    from companion.organism import images

    exact = {y.numpy().tobytes() for y in images(captions("exact"), torch.zeros(56, 15))}
    assert not exact & {y.numpy().tobytes() for y in x}


def test_batches_hold_latents_with_their_captions_and_some_without(tiny_autoencoder, few):
    autoencoder = tiny_autoencoder().model.eval()
    autoencoder.register_to_config(scaling_factor=0.5)
    latents, tokens = encode(autoencoder, few, chunk=7), caption_tokens(few)
    with torch.no_grad():
        expected = autoencoder.encode(few.images(torch.arange(60))).latent_dist.mean * 0.5
    # Chunks of another size add up in another order.
    assert torch.allclose(latents, expected, atol=1e-5)
    n = 4000
    x, ids = captioned_latents(autoencoder, few)(n, torch.Generator().manual_seed(0))
    empty = (ids == tokens[-1]).all(1)
    assert tokens[-1].tolist() == tokenizer()("", padding="max_length").input_ids
    # Five binomial standard deviations.
    assert abs(empty.sum().item() - n * UNCONDITIONAL) < 5 * math.sqrt(n * UNCONDITIONAL)
    owner = torch.cdist(x.flatten(1), encode(autoencoder, few).flatten(1)).argmin(1)
    assert torch.equal(ids[~empty], tokens[few.caption[owner]][~empty])
