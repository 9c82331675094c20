"""Every family of pipelines against diffusers' own, step by step, and against autograd in float64."""

import warnings

import diffusers
import pytest
import torch

from memlib.hessian import JacobianOperator
from memlib.sharpness import norms
from memlib.text_to_image import FirstStep, ModelError, TextToImage, generate, loading, one_step
from memlib.text_to_image.libraries import quiet

from . import families

CAPTIONS = ["a cat", "tac"]
LABELS = ["207", "thing 3"]
GUIDANCE, STEPS = 4.0, 4
TEXT = ("sd3", "sdxl", "pixart", "sana", "flux")
TRANSFORMERS = ("sd3", "pixart", "sana", "flux", "dit")
FLOWS = ("sd3", "sana", "flux")


pytestmark = pytest.mark.usefixtures("small_flux")


@pytest.fixture(scope="module")
def loaded(written, small_flux):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {name: TextToImage.load(written[name], dtype=torch.float64) for name in families.BUILDERS}


def captions_of(name):
    return LABELS if name == "dit" else CAPTIONS


def own_steps(folder, name, count=2):
    """`[(input, time, output)]` of the first passes of the pipeline that diffusers loads from the folder."""

    class Reached(Exception):  # noqa: N818
        pass

    with quiet():
        kind = getattr(diffusers, loading.read_json(folder / "model_index.json")["_class_name"])
        pipeline = kind.from_pretrained(folder, torch_dtype=torch.float64, low_cpu_mem_usage=False)
    for part in pipeline.components.values():  # diffusers leaves some in single precision
        if isinstance(part, torch.nn.Module):
            part.double()
    pipeline.set_progress_bar_config(disable=True)
    network = getattr(pipeline, "transformer", None) or pipeline.unet
    seen = []

    def note(_, given, named, out):
        x = given[0] if given else named["hidden_states"]
        time = named["timestep"] if "timestep" in named else given[1]
        seen.append(
            (x, float(torch.as_tensor(time).flatten()[0]), (out[0] if isinstance(out, tuple) else out.sample))
        )
        if len(seen) == count:
            raise Reached

    network.register_forward_hook(note, with_kwargs=True)
    options = {"num_inference_steps": STEPS, "generator": torch.Generator().manual_seed(0)}
    if name in ("sdxl", "sd3", "pixart", "sana", "dit"):
        options["guidance_scale"] = GUIDANCE
    if name in ("pixart", "sana"):
        side = network.config.sample_size * pipeline.vae_scale_factor
        options |= {"height": side, "width": side, "use_resolution_binning": False}
    given = {"ddpm": 2, "dit": [207, 3]}.get(name, CAPTIONS)
    with pytest.raises(Reached), quiet():
        pipeline(given, **options)
    return seen


@pytest.mark.parametrize("name", families.BUILDERS)
def test_the_first_steps_of_diffusers_own_pipeline(loaded, written, name):
    model, ((x, time, out), (after, later, _)) = loaded[name], own_steps(written[name], name)
    prompts = model.empty if name == "ddpm" else model.encode(captions_of(name))
    times = model.timesteps(STEPS)
    assert model._clock.told(times[0], 1) == pytest.approx(time, rel=1e-6)
    assert model._clock.told(times[1], 1) == pytest.approx(later, rel=1e-6)
    x, after = x[:2].double(), after[:2].double()
    assert model.sample_shape == tuple(x.shape[1:])
    with torch.no_grad():
        given = model.predict(times[0], x, prompts.repeated(2))
        none = model.predict(times[0], x, model.empty.repeated(2))
    out = out[:, : x.shape[1]]
    if name in ("flux", "ddpm"):
        theirs, ours = out, given
    else:
        first, second = out.chunk(2)
        conditional, free = (first, second) if name == "dit" else (second, first)
        torch.testing.assert_close(given, conditional, rtol=0, atol=1e-5)
        torch.testing.assert_close(none, free, rtol=0, atol=1e-5)
        theirs, ours = free + GUIDANCE * (conditional - free), none + GUIDANCE * (given - none)
        assert (given - none).norm() > 1e-3 * given.norm()
    torch.testing.assert_close(ours, theirs, rtol=0, atol=5e-5)
    if name != "ddpm":  # which draws fresh noise
        moved = model.sample(prompts, x, steps=STEPS, first_steps=1, guidance=GUIDANCE).samples
        torch.testing.assert_close(moved, after, rtol=0, atol=5e-5)
        assert (after - x).norm() > 1e-2 * x.norm()


def definition(model, t, x, row):
    """The score of one point from its denoiser's output, by the definitions of each prediction."""
    pipeline = model.pipeline
    out = model.denoiser(x[None], return_dict=False, **row)[0][0, : x.shape[0]]
    if model.prediction == "flow":
        return -(x + (1 - t) * out) / t
    return -out / (1 - pipeline.scheduler.alphas_cumprod.double()[t]).sqrt()


def explicit(model, name, t, caption):
    """What the denoiser is told, put together by hand from the pipeline's own encoders."""
    pipeline, none = model.pipeline, caption is None
    text = "" if none else caption
    if name == "dit":
        label = 1000 if none else {"207": 207, "thing 3": 3}[caption]
        return {"timestep": torch.tensor([t]), "class_labels": torch.tensor([label])}
    if name == "ddpm":
        return {"timestep": t}
    if name == "sd3":
        told = pipeline.encode_prompt(text, text, text, do_classifier_free_guidance=False)
        return {
            "timestep": torch.tensor([1000 * t]),
            "encoder_hidden_states": told[0],
            "pooled_projections": told[2],
        }
    if name == "sdxl":
        embedded, _, pooled, _ = pipeline.encode_prompt(text, do_classifier_free_guidance=False)
        if none:
            embedded, pooled = torch.zeros_like(embedded), torch.zeros_like(pooled)
        sides = torch.tensor([[8.0, 8.0, 0.0, 0.0, 8.0, 8.0]], dtype=torch.float64)
        added = {"text_embeds": pooled, "time_ids": sides}
        return {"timestep": t, "encoder_hidden_states": embedded, "added_cond_kwargs": added}
    if name == "flux":
        embedded, pooled, ids = pipeline.encode_prompt(text, text, max_sequence_length=512)
        grid = [[0, a, b] for a in range(8) for b in range(8)]
        return {
            "timestep": torch.tensor([t], dtype=torch.float64),
            "guidance": torch.tensor([3.5]),
            "encoder_hidden_states": embedded,
            "pooled_projections": pooled,
            "txt_ids": ids,
            "img_ids": torch.tensor(grid, dtype=torch.float64),
        }
    more = {} if name == "pixart" or none else {"complex_human_instruction": instruction(pipeline)}
    told = pipeline.encode_prompt(text, do_classifier_free_guidance=False, max_sequence_length=300, **more)
    time = t if name == "pixart" else int(1000 * t)
    sizes = {"added_cond_kwargs": {"resolution": None, "aspect_ratio": None}} if name == "pixart" else {}
    return {
        "timestep": torch.tensor([time]),
        "encoder_hidden_states": told[0],
        "encoder_attention_mask": told[1],
        **sizes,
    }


def instruction(pipeline):
    import inspect

    return inspect.signature(type(pipeline).__call__).parameters["complex_human_instruction"].default


@pytest.mark.parametrize("name", families.BUILDERS)
def test_scores_and_their_jacobians_are_the_definitions(loaded, name):
    model = loaded[name]
    t = 0.4375 if name in FLOWS else 437
    conditions = [None] if name == "ddpm" else [captions_of(name)[0], None]
    x = model.noise(1, torch.Generator().manual_seed(1))
    v = torch.randn(1, x.numel(), generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    level = model.level(t)
    for caption in conditions:
        row = explicit(model, name, t, caption)

        def oracle(point, row=row):
            return definition(model, t, point, row)

        point = x[0].clone().requires_grad_()
        with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
            value = oracle(point)
            (expected,) = torch.autograd.grad(value, point, v.reshape(value.shape))
        score = model.score(t, None if caption is None else model.encode([caption]))
        torch.testing.assert_close(score(x)[0], value, rtol=1e-6, atol=1e-6)
        with JacobianOperator(score, x, product="vjp") as op:
            torch.testing.assert_close(op.matvec(v).reshape(value.shape), expected, rtol=1e-5, atol=1e-5)
        assert (score.alpha, score.sigma) == (level["alpha"], level["sigma"])
        x0, epsilon = score.parts(x)
        torch.testing.assert_close(level["alpha"] * x0 + level["sigma"] * epsilon, x, rtol=0, atol=1e-9)
        torch.testing.assert_close(epsilon, -score.sigma * score(x), rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", ["sd3", "flux"])
def test_at_pure_noise_the_predicted_image_stands_for_the_score(loaded, written, name):
    model = loaded[name]
    t, prompts = model.timesteps(STEPS)[0], model.encode(CAPTIONS)
    noise = model.noise(2, torch.Generator().manual_seed(3))
    x = prompts.tiled(noise)
    assert (t, model.level(t), model.unit(t)) == (1.0, {"alpha": 0.0, "sigma": 1.0}, 1.0)
    with torch.no_grad():
        v = model.predict(t, x, prompts.repeated(4)) - model.predict(t, x, model.empty.repeated(4))
    torch.testing.assert_close(model.score(t, prompts)(x), x - model.predict(t, x, prompts.repeated(4)))
    step = FirstStep(model, t, prompts, noise)
    torch.testing.assert_close(step.difference, -v, rtol=0, atol=1e-12)
    lengths = prompts.grouped(norms.of_score(v))
    torch.testing.assert_close(step.noise_difference_norm, lengths, rtol=1e-9, atol=0)
    assert (lengths > 1e-3).all()

    def v_delta(x):
        given, none = (model.predict(t, x, which.repeated(4)) for which in (prompts, model.empty))
        return given - none

    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        gain = prompts.grouped(norms.of_product(torch.func.jvp(v_delta, (x,), (v,))[1].flatten(1)))
    found = one_step(model, prompts, noise, product="jvp")
    torch.testing.assert_close(found.curvature, gain, rtol=1e-5, atol=0)
    torch.testing.assert_close(found.difference, lengths, rtol=1e-9, atol=0)
    with pytest.raises(ValueError, match=r"'difference' of scores in torch.float64 is rounding error"):
        one_step(model, prompts, noise)
    single = TextToImage.load(written[name])
    found = one_step(single, single.encode(CAPTIONS), noise.float())
    torch.testing.assert_close(found.curvature, gain, rtol=2e-2, atol=0)
    torch.testing.assert_close(found.difference, lengths, rtol=1e-4, atol=0)


def test_differences_near_pure_noise_are_no_rounding(written):
    """Sana begins at alpha = 3e-4, where single precision leaves nothing of a difference of scores."""
    models = [TextToImage.load(written["sana"], dtype=dtype) for dtype in (torch.float32, torch.float64)]
    values = []
    for model in models:
        t = model.timesteps(20)[0]
        assert 0 < model.level(t)["alpha"] < 1e-3
        noise = model.noise(2, torch.Generator().manual_seed(4))
        values.append(one_step(model, model.encode(CAPTIONS), noise, t=t, product="vjp"))
    single, double = values
    torch.testing.assert_close(single.difference, double.difference, rtol=1e-4, atol=0)
    torch.testing.assert_close(single.curvature, double.curvature, rtol=1e-3, atol=0)


@pytest.mark.parametrize("name", TEXT)
def test_what_is_kept_of_a_sampling_gives_the_same_differences(loaded, name):
    model = loaded[name]
    prompts, noise = model.encode(CAPTIONS), model.noise(2, torch.Generator().manual_seed(5))
    made = generate(model, prompts, noise, steps=STEPS, first_steps=2)
    with torch.no_grad():
        for k, t in enumerate(made.times):
            s = model.difference(t, prompts)(made.states[k].flatten(0, 1))
            torch.testing.assert_close(made.differences()[k], prompts.grouped(s), rtol=1e-7, atol=1e-10)
    t = made.times[1]
    first = FirstStep(model, t, prompts, noise)
    for ours, score in zip(first.scores, (model.score(t, prompts), model.score(t)), strict=True):
        torch.testing.assert_close(ours, score(prompts.tiled(noise)), rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", ["sd3", "sdxl", "pixart", "sana", "flux"])
def test_images_are_those_of_the_pipelines_own_decoder(loaded, name):
    model = loaded[name]
    latents = model.noise(2, torch.Generator().manual_seed(6))
    pipeline, own = model.pipeline, latents
    if name == "flux":
        own = own.reshape(2, 8, 8, 4, 2, 2).permute(0, 3, 1, 4, 2, 5).reshape(2, 4, 16, 16)
    own = own / pipeline.vae.config.scaling_factor + (0.06 if name in ("sd3", "flux") else 0)
    with torch.no_grad():
        expected = (pipeline.vae.decode(own).sample / 2 + 0.5).clamp(0, 1).float()
    torch.testing.assert_close(model.decode(latents), expected, rtol=0, atol=1e-6)
    images = torch.rand(2, 3, *expected.shape[2:], generator=torch.Generator().manual_seed(7))
    found = model.latents(images.double())
    assert found.shape == latents.shape
    told = pipeline.vae.encode(2 * images.double() - 1)
    mean = told.latent if name == "sana" else told.latent_dist.mean
    mean = (mean - (0.06 if name in ("sd3", "flux") else 0)) * pipeline.vae.config.scaling_factor
    if name == "flux":
        mean = mean.reshape(2, 4, 8, 2, 8, 2).permute(0, 2, 4, 1, 3, 5).reshape(2, 64, 16)
    torch.testing.assert_close(found, mean, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_attention_of_u_nets_is_refused_of_transformers(loaded, name):
    model = loaded[name]
    noise = model.noise(1, torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match=r"has a \w+Transformer2DModel, expected a U-Net: attention maps"):
        generate(model, model.encode(captions_of(name)), noise, steps=2, attention=True)


def test_a_distilled_model_says_that_it_has_no_unconditional_pass(written):
    with pytest.warns(UserWarning, match="distilled for guidance.*empty prompt"):
        model = TextToImage.load(written["flux"])
    prompts, noise = model.encode(CAPTIONS), model.noise(2, torch.Generator().manual_seed(0))
    weak, strong = (model.sample(prompts, noise, steps=2, guidance=w).samples for w in (1.0, 7.5))
    assert torch.equal(weak, strong)  # its scale is embedded


def test_models_without_prompts_and_with_labels(loaded):
    with pytest.raises(ValueError, match="is a model without prompts"):
        loaded["ddpm"].encode(["a cat"])
    with pytest.raises(ValueError, match="has no label 'a cat'; labels are numbers or"):
        loaded["dit"].encode(["a cat"])
    model = loaded["dit"]
    by_name, by_number = (model.encode([caption]).conditions.arguments for caption in ("object 3", "3"))
    assert torch.equal(by_name["class_labels"], by_number["class_labels"])
    noise = model.noise(1, torch.Generator().manual_seed(0))
    found = one_step(model, model.encode(LABELS), noise, product="vjp")
    assert (found.curvature > 0).all()


def test_zero_terminal_signal_of_velocities(written, tmp_path):
    """The first step of such a model, trailing times as Lin et al. 2024 ask for."""
    scheduler = diffusers.DDIMScheduler(
        **families.NOISE,
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        prediction_type="v_prediction",
        clip_sample=False,
        set_alpha_to_one=False,
    )
    folder = families.write(tmp_path / "zero", "sdxl", scheduler=scheduler)
    model = TextToImage.load(folder, dtype=torch.float64)
    (x, time, out), (after, _, _) = own_steps(folder, "sdxl")
    free, conditional = out.chunk(2)
    assert (model.timesteps(STEPS)[0], time, model.level(999)["alpha"]) == (999, 999, 0.0)
    prompts = model.encode(CAPTIONS)
    step = model.difference(999, prompts)
    torch.testing.assert_close(step(x[:2]), free - conditional, rtol=0, atol=1e-9)  # x_0 = -v
    moved = model.sample(prompts, x[:2], steps=STEPS, first_steps=1, guidance=GUIDANCE).samples
    torch.testing.assert_close(moved, after[:2], rtol=0, atol=1e-5)


def test_a_flow_whose_scheduler_does_something_else(tmp_path):
    folder = families.write(tmp_path / "random", "sd3", stochastic_sampling=True)
    with pytest.raises(ModelError, match="sets stochastic_sampling=True"):
        TextToImage.load(folder)
