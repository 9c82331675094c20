"""Each objective and its gradient against a transcription for one latent with diffusers' modules alone."""

import math

import pytest
import torch

from memlib.mitigation import NoiseAdjustment, PromptEmbedding, Sail, apply
from memlib.mitigation.objectives import RowDifference

from ..text_to_image import oracles

CAPTIONS = ["a cat", "cat", "tac a"]


def rows_of(model, prompts, n):
    t = model.timesteps(50)[0]
    return t, RowDifference(model, t, prompts.repeated(len(prompts) * n))


def check(objective, formula, x):
    """Value and gradient of `objective(x, rows)` against `formula(latent, caption)` for each row."""
    x = x.clone().requires_grad_()
    values = objective(x, torch.arange(len(x)))
    (gradient,) = torch.autograd.grad(values.sum(), x)
    for i, caption in enumerate(caption for caption in CAPTIONS for _ in range(2)):
        latent = x.detach()[i].clone().requires_grad_()
        expected = formula(latent, caption)
        (slope,) = torch.autograd.grad(expected, latent)
        torch.testing.assert_close(values[i], expected, rtol=1e-8, atol=1e-12)
        torch.testing.assert_close(gradient[i], slope, rtol=1e-6, atol=1e-9)
    assert values.unique().numel() == 6


@pytest.fixture
def points(task):
    """(model, difference, six latents, score difference of one latent under a caption)."""
    model, prompts, noise = task
    t, difference = rows_of(model, prompts, 2)
    return (
        model,
        difference,
        noise.repeat(3, 1, 1, 1),
        lambda latent, caption: oracles.difference(model, model.prediction, t, latent, caption),
    )


def test_corrected_sail_is_the_norm_of_the_jacobian_times_the_difference(points):
    model, difference, x, s = points
    t = model.timesteps(50)[0]
    found = Sail(1.0, displacement=1e-5).objective(difference, x, torch.arange(6))
    for i, caption in enumerate(caption for caption in CAPTIONS for _ in range(2)):
        jacobian = oracles.jacobian(model, model.prediction, t, x[i], caption)
        jacobian = jacobian - oracles.jacobian(model, model.prediction, t, x[i], "")
        with torch.no_grad():
            expected = (jacobian @ s(x[i], caption).flatten()).norm()
        torch.testing.assert_close(found[i], expected, rtol=1e-4, atol=1e-9)


def test_corrected_sail_and_its_gradient(points):
    _, difference, x, s = points

    def formula(latent, caption):
        here = s(latent, caption)
        moved = s(latent + 0.1 * here / here.norm(), caption)
        return here.norm() * (moved - here).norm() / 0.1

    check(lambda x, rows: Sail(1.0).objective(difference, x, rows), formula, x)


def first_step(start, slope, lr, decay=0.0):
    """Adam's first step, in which both moments are those of one gradient."""
    return start - lr * decay * start - lr * slope / (slope.abs() + 1e-8)


@pytest.mark.filterwarnings("ignore::memlib.mitigation.UnreachedWarning")
def test_han_takes_adamw_steps_on_the_norm_of_the_noise_gap(task):
    model, prompts, noise = task
    t = model.timesteps(50)[0]
    sigma = float((1 - model.scheduler.alphas_cumprod.double()[t]).sqrt())
    found = apply(model, NoiseAdjustment(1e-6, steps=1), prompts, noise)
    for p, caption in enumerate(CAPTIONS):
        for i in range(2):
            latent = noise[i].clone().requires_grad_()
            value = sigma * oracles.difference(model, model.prediction, t, latent, caption).norm()
            (slope,) = torch.autograd.grad(value, latent)
            expected = first_step(noise[i], slope, 0.01, decay=0.01)
            torch.testing.assert_close(found.noise[p, i], expected, rtol=1e-6, atol=1e-7)
            assert found.record.objective[p, i] < value.item()


@pytest.mark.filterwarnings("ignore::memlib.mitigation.UnreachedWarning")
def test_wen_takes_adamw_steps_on_the_mean_norm_of_the_noise_gap(task):
    model, prompts, noise = task
    t = model.timesteps(50)[0]
    a = model.scheduler.alphas_cumprod.double()[t]
    scale = (1 - a).sqrt() if model.prediction == "epsilon" else a.sqrt()
    found = apply(model, PromptEmbedding(1e-6, steps=1, learning_rate=1e-3), prompts, noise)
    for p in range(3):
        embedding = prompts.embeddings[p].clone().requires_grad_()

        def output(text):
            out = model.unet(noise, t, encoder_hidden_states=text.expand(2, -1, -1)).sample
            return out if model.prediction == "epsilon" else scale * out

        scaled = 1 if model.prediction == "v" else scale / math.sqrt(1 - a)
        gap = scaled * (output(embedding[None]) - output(model.empty.embeddings))
        value = gap.flatten(1).norm(dim=1).mean()
        (slope,) = torch.autograd.grad(value, embedding)
        expected = first_step(prompts.embeddings[p], slope, 1e-3, decay=0.01)
        torch.testing.assert_close(found.prompts.embeddings[p], expected, rtol=1e-6, atol=1e-7)
        assert found.record.objective[p, 0] < value.item()
        assert found.record.objective[p, 0] == found.record.objective[p, 1]
    assert torch.equal(found.noise, noise.expand_as(found.noise))


def test_a_prompt_without_text_has_no_difference_and_a_gradient_of_zero(task):
    model, _, noise = task
    difference = RowDifference(model, 500, model.empty.repeated(2))
    x = noise.clone().requires_grad_()
    value = Sail(1.0).objective(difference, x, torch.arange(2))
    (slope,) = torch.autograd.grad(value.sum(), x)
    assert torch.isfinite(slope).all()
    assert slope.abs().max() < 1e-8
