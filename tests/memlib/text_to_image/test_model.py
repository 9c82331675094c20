"""Scores, their products, sampling and decoding against autograd in float64 and diffusers' own pipeline."""

import pytest
import torch

from memlib.hessian import JacobianOperator
from memlib.sharpness import curvature_gain, difference_norm

from . import oracles

CAPTIONS = ["a cat", "catt a"]
T = 981


def points(model, count, generator):
    return model.noise(count, generator)


def test_scores_are_the_definitions(exact, kind, generator):
    prompts, x = exact.encode(CAPTIONS), points(exact, 4, generator)
    for t in (981, 500, 1):
        with torch.no_grad():
            expected = [oracles.score(exact, kind, t, x[row], CAPTIONS[row // 2]) for row in range(4)]
            free = [oracles.score(exact, kind, t, x[row], "") for row in range(4)]
            given, none = exact.score(t, prompts)(x), exact.score(t)(x)
            torch.testing.assert_close(given, torch.stack(expected), rtol=1e-9, atol=1e-9)
            torch.testing.assert_close(none, torch.stack(free), rtol=1e-9, atol=1e-9)


def test_a_score_knows_its_level(exact):
    score = exact.score(1)
    assert score.sigma == pytest.approx((1 - exact.scheduler.alphas_cumprod[1].item()) ** 0.5)
    assert score.alpha == pytest.approx(exact.scheduler.alphas_cumprod[1].item() ** 0.5)
    assert "t=1" in score.name


def test_differences_in_one_pass_and_in_two_agree(exact, generator):
    prompts, x = exact.encode(CAPTIONS), points(exact, 4, generator)
    with torch.no_grad():
        joint = exact.difference(T, prompts)
        apart = exact.score(T, prompts) - exact.score(T)
        torch.testing.assert_close(joint(x), apart(x), rtol=0, atol=1e-12)
        conditional, unconditional = joint.both(x)
        torch.testing.assert_close(conditional, apart.conditional(x), rtol=0, atol=1e-12)
        torch.testing.assert_close(unconditional, apart.unconditional(x), rtol=0, atol=1e-12)
    assert joint(x).norm() > 1e-2 * x.norm()  # the captions of these random networks matter


def test_products_against_the_dense_jacobian(exact, kind, generator):
    prompts, x = exact.encode(CAPTIONS), points(exact, 2, generator)
    difference = exact.difference(T, prompts)
    J = torch.stack(
        [
            oracles.jacobian(exact, kind, T, x[row], CAPTIONS[row])
            - oracles.jacobian(exact, kind, T, x[row], "")
            for row in range(2)
        ]
    )
    with torch.no_grad():
        s = torch.stack([oracles.difference(exact, kind, T, x[row], CAPTIONS[row]) for row in range(2)])
    s = s.flatten(1)
    forward, backward = (
        torch.linalg.vector_norm(torch.einsum(e, J, s), dim=1) for e in ("bij,bj->bi", "bji,bj->bi")
    )
    assert ((forward - backward).abs() > 1e-3 * forward).all()  # or the test could not tell them apart
    torch.testing.assert_close(curvature_gain(difference, x, "jvp"), forward, rtol=1e-9, atol=0)
    torch.testing.assert_close(curvature_gain(difference, x, "vjp"), backward, rtol=1e-9, atol=0)
    torch.testing.assert_close(curvature_gain(difference, x, "difference"), forward, rtol=1e-5, atol=0)
    torch.testing.assert_close(difference_norm(difference, x), s.norm(dim=1), rtol=1e-9, atol=0)
    columns = torch.eye(64, dtype=torch.float64).expand(2, 64, 64)
    torch.testing.assert_close(JacobianOperator(difference, x).matmat(columns), J.mT, rtol=0, atol=1e-9)


def test_rounding_of_a_forward_difference_in_single_precision(models, kind, generator):
    """At most the rounding of the score at its two points over the step."""
    norms, values, step = {}, {}, 3e-3  # about the default, 3.4e-4 ||x||
    for dtype in (torch.float32, torch.float64):
        model = models[kind, dtype]
        difference = model.difference(T, model.encode(CAPTIONS))
        x = model.noise(8, generator.manual_seed(0))
        with JacobianOperator(difference, x, product="difference", step=step) as op:
            norms[dtype], values[dtype] = torch.linalg.vector_norm(op.matvec(op.value), dim=1), op.value
    size = torch.linalg.vector_norm(values[torch.float64], dim=1)
    rounding = torch.linalg.vector_norm(values[torch.float32] - values[torch.float64], dim=1).max()
    error = (norms[torch.float32] - norms[torch.float64]).abs()
    assert rounding < 1e-5 * size.max()
    assert (error < 3 * rounding * size / step).all()


def test_several_directions_repeat_the_prompts(exact, generator):
    prompts, x = exact.encode(CAPTIONS), points(exact, 4, generator)
    V = torch.randn(4, 64, 3, generator=generator, dtype=torch.float64)
    for product in ("vjp", "jvp", "difference"):
        op = JacobianOperator(exact.difference(T, prompts), x, product=product)
        one_by_one = torch.stack([op.matvec(V[:, :, k]) for k in range(3)], dim=2)
        torch.testing.assert_close(op.matmat(V), one_by_one, rtol=1e-6, atol=1e-6)


def test_the_attention_backend_is_left_as_it_was(exact, generator):
    before = torch.backends.cuda.flash_sdp_enabled(), torch.backends.cuda.mem_efficient_sdp_enabled()
    curvature_gain(exact.difference(T, exact.encode(["cat"])), points(exact, 1, generator), "jvp")
    assert before == (
        torch.backends.cuda.flash_sdp_enabled(),
        torch.backends.cuda.mem_efficient_sdp_enabled(),
    )


def test_one_row_equals_a_row_of_a_batch(exact, generator):
    prompts, x = exact.encode(CAPTIONS), points(exact, 2, generator)
    with torch.no_grad():
        whole = exact.score(T, prompts)(x)
        alone = exact.score(T, prompts[1:])(x[1:])
    torch.testing.assert_close(whole[1:], alone, rtol=0, atol=1e-12)


def test_shapes_and_dtypes_that_do_not_fit(exact):
    score = exact.score(T)
    with pytest.raises(ValueError, match=r"shape \(B, 4, 4, 4\)"):
        score(torch.zeros(1, 4, 8, 8, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"runs in torch.float64, x is torch.float32"):
        score(torch.zeros(1, 4, 4, 4))
    with pytest.raises(ValueError, match="2 prompts do not fit a batch of 3"):
        exact.score(T, exact.encode(CAPTIONS))(torch.zeros(3, 4, 4, 4, dtype=torch.float64))
    with pytest.raises(ValueError, match="t must lie in"):
        exact.score(1000)


def test_times_of_stable_diffusion(exact):
    assert exact.timesteps() == list(range(981, 0, -20))
    assert exact.timesteps(3) == [667, 334, 1]
    for steps in (1, 7, 30, 999):
        exact.scheduler.set_timesteps(steps)
        assert exact.timesteps(steps) == exact.scheduler.timesteps.tolist()


def test_times_that_are_not_there(exact):
    with pytest.raises(ValueError, match="1000 steps start at time 1000, the schedule ends at 999"):
        exact.timesteps(1000)
    for steps in (0, 1001):
        with pytest.raises(ValueError, match=rf"steps must lie in \[1, 1000\], got {steps}"):
            exact.timesteps(steps)


def test_noise_is_the_same_in_every_precision(single, exact):
    drawn = [model.noise(3, torch.Generator().manual_seed(5)) for model in (single, exact)]
    assert drawn[0].dtype == torch.float32
    assert torch.equal(drawn[0].double(), drawn[1])


@pytest.fixture(scope="module")
def pipelines(folders):
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    made = {}
    for name, folder in folders.items():
        pipeline = StableDiffusionPipeline.from_pretrained(folder, use_safetensors=True)
        pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config, clip_sample=False)
        pipeline.set_progress_bar_config(disable=True)
        made[name] = pipeline
    return made


@pytest.mark.parametrize("steps", [3, 50])
def test_samples_are_those_of_diffusers_own_pipeline(single, kind, pipelines, generator, steps):
    noise = points(single, 2, generator)
    expected = pipelines[kind](
        CAPTIONS, latents=noise, num_inference_steps=steps, guidance_scale=7.5, output_type="latent"
    ).images
    samples = single.sample(single.encode(CAPTIONS), noise, steps=steps).samples
    # 1 / alpha = 14.6 at the first time and guidance by 7.5 magnify the rounding of a score.
    bound = 15 * 7.5 * steps * torch.finfo(torch.float32).eps * expected.abs().max()
    assert (samples - expected).abs().max() < bound
    assert (samples - noise).abs().max() > 100 * bound or steps == 50


def test_images_are_those_of_diffusers_own_pipeline(single, kind, pipelines, generator):
    noise = points(single, 2, generator)
    expected = pipelines[kind](CAPTIONS, latents=noise, num_inference_steps=2, output_type="pt").images
    images = single.decode(single.sample(single.encode(CAPTIONS), noise, steps=2).samples)
    assert images.shape == (2, 3, 8, 8)
    torch.testing.assert_close(images, expected, rtol=0, atol=1e-3)
    assert images.std() > 0.01


def test_the_first_steps_of_a_trajectory(exact, generator):
    prompts, noise = exact.encode(CAPTIONS), points(exact, 2, generator)
    seen = []
    whole = exact.sample(prompts, noise, steps=5, keep=range(5), observe=lambda *step: seen.append(step))
    part = exact.sample(prompts, noise, steps=5, first_steps=2)
    times = exact.timesteps(5)
    torch.testing.assert_close(part.samples, whole.states[times[2]], rtol=0, atol=1e-12)
    assert [step[0] for step in seen] == times
    for t, x, conditional, unconditional in seen:
        assert torch.equal(x, whole.states[t])
        torch.testing.assert_close(conditional, exact.score(t, prompts)(x), rtol=0, atol=1e-12)
        torch.testing.assert_close(unconditional, exact.score(t)(x), rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match=r"first_steps must lie in \[1, 5\], got 6"):
        exact.sample(prompts, noise, steps=5, first_steps=6)


def test_no_guidance_follows_the_condition_alone(exact, generator):
    prompts, noise = exact.encode(["cat"]), points(exact, 1, generator)
    from memlib.sampling import ddim

    last = exact.scheduler.final_alpha_cumprod.double()
    end = (last.sqrt().item(), (1 - last).sqrt().item())
    expected = ddim(
        lambda t: exact.score(t, prompts), exact.schedule, noise, times=exact.timesteps(4), end=end
    )
    samples = exact.sample(prompts, noise, steps=4, guidance=1.0).samples
    torch.testing.assert_close(samples, expected.samples, rtol=0, atol=1e-9)


def test_latents_of_images_are_the_encoders_scaled_means(exact, generator):
    images = torch.rand(9, 3, 8, 8, generator=generator, dtype=torch.float64)
    latents = exact.latents(images)
    assert latents.shape == (9, 4, 4, 4)
    with torch.no_grad():
        means = exact.vae.encode(2 * images - 1).latent_dist.mean
    torch.testing.assert_close(latents, means * exact.vae.config.scaling_factor, rtol=0, atol=1e-12)


def test_both_scores_from_one_pass_where_the_unconditional_one_is_known(exact, generator):
    prompts, noise = exact.encode(CAPTIONS), exact.noise(2, generator)
    x, difference = prompts.tiled(noise), exact.difference(T, exact.encode(CAPTIONS))
    with torch.no_grad():
        known = exact.score(T)(noise)
        for found, expected in zip(difference.both(x, known), difference.both(x), strict=True):
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match="noise must be shared tiled for all prompts"):
        exact.sample(prompts, x.flip(0), steps=4, shared=noise)
