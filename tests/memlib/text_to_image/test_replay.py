"""The first denoising step against diffusers' own pipeline on the same folder, entry by entry."""

import json
import math
import shutil

import diffusers
import pytest
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextModel

from memlib.text_to_image import Conditions, ModelError, TextToImage

from .conftest import CUT, UNKNOWN, UNTRAINED

pytestmark = UNTRAINED

CAPTIONS = ["a cat", "tac"]


class Reached(Exception):  # noqa: N818
    """The first pass is over."""


def own_first_step(folder, captions=CAPTIONS, **options):
    """What the pipeline gives its U-Net at first and gets: points, time, both halves of the output."""
    pipeline = StableDiffusionPipeline.from_pretrained(
        folder, use_safetensors=True, low_cpu_mem_usage=False, torch_dtype=torch.float64
    )
    return first_pass(pipeline, captions, **options)


def first_pass(pipeline, captions=CAPTIONS, **options):
    """Points, time, both halves of the output of the first pass of a pipeline through its U-Net."""
    seen = []

    def note(_, given, __, out):
        seen.extend((given[0], int(given[1]), *out[0].chunk(2)))
        raise Reached

    hook = pipeline.unet.register_forward_hook(note, with_kwargs=True)
    with pytest.raises(Reached):
        pipeline(captions, generator=torch.Generator().manual_seed(0), output_type="latent", **options)
    hook.remove()
    return seen


def compare(folder, captions=CAPTIONS):
    """Both halves are those of the replay; returns the model."""
    x, t, unconditional, conditional = own_first_step(folder, captions)
    model = TextToImage.load(folder, dtype=torch.float64)
    prompts, points = model.encode(captions), x[: len(captions)]
    assert model.sample_shape == tuple(x.shape[1:])
    assert model.timesteps()[0] == t
    with torch.no_grad():
        ours = model.predict(t, points, prompts.conditions)
        free = model.predict(t, points, model.empty.repeated(len(points)))
    torch.testing.assert_close(ours, conditional, rtol=0, atol=1e-10)
    torch.testing.assert_close(free, unconditional, rtol=0, atol=1e-10)
    assert (ours - free).norm() > 1e-4 * ours.norm()
    return model


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def new_unet(folder, **changes):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        config = UNet2DConditionModel.load_config(folder / "unet")
        UNet2DConditionModel.from_config(config, **changes).save_pretrained(folder / "unet")


def test_an_ordinary_folder(folders, kind):
    compare(folders[kind])


@pytest.mark.parametrize(
    "changes",
    [
        {
            "act_fn": "gelu",
            "flip_sin_to_cos": False,
            "freq_shift": 1,
            "center_input_sample": True,
            "attention_head_dim": 4,
            "norm_eps": 1e-2,
            "norm_num_groups": 2,
            "use_linear_projection": True,
            "upcast_attention": True,
            "mid_block_scale_factor": 2.0,
            "conv_in_kernel": 1,
            "timestep_post_act": "silu",
            "time_embedding_act_fn": "silu",
            "transformer_layers_per_block": 2,
        },
        {
            "resnet_time_scale_shift": "scale_shift",
            "only_cross_attention": True,
            "time_embedding_type": "fourier",
            "sample_size": (4, 8),
        },
        {"mid_block_type": None, "cross_attention_norm": "layer_norm"},
        {"encoder_hid_dim": 16, "encoder_hid_dim_type": "text_proj"},
        {"addition_embed_type": "text", "addition_embed_type_num_heads": 2},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_every_entry_of_the_unet(broken, changes):
    """Several at once: what the pipeline heeds and the replay does not, or the reverse, sets them apart."""
    new_unet(broken, **changes)
    compare(broken)


def test_entries_of_the_unet_that_ask_for_more_than_the_pipeline_gives(broken):
    sizes = {"addition_time_embed_dim": 8, "projection_class_embeddings_input_dim": 64}
    for changes in (
        {"num_class_embeds": 4},
        {"dual_cross_attention": True},
        {"addition_embed_type": "text_time", **sizes},
    ):
        new_unet(broken, **changes)
        with pytest.raises(ModelError, match="fails at its first step"):
            TextToImage.load(broken)


@pytest.fixture
def moved(models):
    """How far the embeddings of captions are from those of the folder before, if they can be compared."""

    def distance(model):
        ours, theirs = (one.encode(CAPTIONS).embeddings for one in (model, models["epsilon", torch.float64]))
        return math.inf if ours.shape != theirs.shape else float((ours - theirs).norm())

    return distance


@UNKNOWN
@pytest.mark.parametrize(
    ("changes", "moves"),
    [
        ({"hidden_act": "gelu"}, True),
        ({"layer_norm_eps": 0.1}, True),
        ({"num_attention_heads": 4}, True),
        ({"num_hidden_layers": 1}, True),
        ({"use_attention_mask": True}, True),
        (
            {
                "attention_dropout": 0.9,  # evaluation
                "initializer_factor": 3.0,  # the weights are read
                "initializer_range": 0.5,
                "projection_dim": 8,  # of another class
                "bos_token_id": 3,  # the tokenizer sets the marks
                "eos_token_id": 7,  # reads the pooled output, which the U-Net does not get
                "pad_token_id": 5,
                "tie_word_embeddings": False,
            },
            False,
        ),
    ],
    ids=lambda given: next(iter(given)) if isinstance(given, dict) else "",
)
def test_every_entry_of_the_text_encoder(broken, moved, changes, moves):
    path = broken / "text_encoder" / "config.json"
    if "num_hidden_layers" in changes:  # layers that are left out must not lie in the file
        CLIPTextModel.from_pretrained(broken / "text_encoder", **changes).save_pretrained(path.parent)
    edit(path, **changes)
    assert (moved(compare(broken)) > 1e-3) == moves


@pytest.mark.parametrize("key", ["hidden_size", "intermediate_size", "vocab_size", "max_position_embeddings"])
def test_entries_of_the_text_encoder_that_the_weights_contradict(broken, key):
    edit(broken / "text_encoder" / "config.json", **{key: 8})
    with pytest.raises(ModelError, match=r"text_encoder cannot be loaded|fails before its first step"):
        TextToImage.load(broken)


@CUT
@pytest.mark.parametrize(
    ("changes", "moves"),
    [
        ({"pad_token": "!"}, True),
        ({"model_max_length": 8}, True),
        ({"bos_token": "!"}, True),
        ({"eos_token": "!"}, True),
        (
            {
                "unk_token": "!",  # every letter of the captions is known
                "do_lower_case": False,  # CLIP's tokenizer lowers them all the same
                "add_prefix_space": True,
                "clean_up_tokenization_spaces": True,  # of decoding
                "errors": "ignore",
                "name_or_path": "another/model",
            },
            False,
        ),
    ],
    ids=lambda given: next(iter(given)) if isinstance(given, dict) else "",
)
def test_every_entry_of_the_tokenizer(broken, moved, changes, moves):
    edit(broken / "tokenizer" / "tokenizer_config.json", **changes)
    model = compare(broken)
    assert (moved(model) > 1e-3) == moves
    limit = changes.get("model_max_length", 12)
    prompts = model.encode(["a cat", "a " * 20])
    assert prompts.tokens.shape[1] == limit
    assert prompts.lengths.tolist() == [4, limit]
    assert prompts.removed[1].split() == ["a"] * (22 - limit)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"padding_side": "left"}, "padding_side='left'"),
        ({"truncation_side": "left"}, "truncation_side='left'"),
        ({"model_max_length": 10**30}, "no model_max_length"),
        ({"model_max_length": 20}, "fails before its first step"),
    ],
    ids=str,
)
def test_entries_of_the_tokenizer_that_are_refused(broken, changes, said):
    edit(broken / "tokenizer" / "tokenizer_config.json", **changes)
    with pytest.raises(ModelError, match=said):
        TextToImage.load(broken)


def own_image(folder):
    """The end of a short sampling by diffusers' pipeline, as latents and as images."""
    pipeline = StableDiffusionPipeline.from_pretrained(
        folder, use_safetensors=True, low_cpu_mem_usage=False, torch_dtype=torch.float64
    )
    pipeline.set_progress_bar_config(disable=True)
    latents, images = (
        pipeline(
            CAPTIONS,
            num_inference_steps=2,
            generator=torch.Generator().manual_seed(0),
            output_type=output,
        ).images
        for output in ("latent", "pt")
    )
    return latents, images


def new_vae(folder, **changes):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        config = AutoencoderKL.load_config(folder / "vae")
        AutoencoderKL.from_config(config, **changes).save_pretrained(folder / "vae")


@pytest.fixture(scope="module")
def before(folders, tmp_path_factory):
    """The model whose autoencoder has no entry changed."""
    folder = shutil.copytree(folders["epsilon"], tmp_path_factory.mktemp("before") / "pipeline")
    new_vae(folder)
    return TextToImage.load(folder, dtype=torch.float64)


@pytest.mark.parametrize(
    ("changes", "moves"),
    [
        ({"scaling_factor": 0.5}, True),
        ({"act_fn": "gelu"}, True),
        ({"norm_num_groups": 2}, True),
        ({"layers_per_block": 2}, True),
        ({"block_out_channels": (8, 16)}, True),
        ({"use_post_quant_conv": False}, True),
        ({"mid_block_add_attention": False}, True),
        ({"use_quant_conv": False}, False),  # of encoding
        (
            {
                "force_upcast": False,  # of other pipelines, as the next
                "shift_factor": 0.1,
                "latents_mean": [0.1] * 4,
                "latents_std": [2.0] * 4,
                "sample_size": 64,  # of tiles
            },
            False,
        ),
    ],
    ids=lambda given: next(iter(given)) if isinstance(given, dict) else "",
)
def test_every_entry_of_the_autoencoder(broken, before, changes, moves):
    new_vae(broken, **changes)
    latents, images = own_image(broken)
    model = TextToImage.load(broken, dtype=torch.float64)
    decoded = model.decode(latents)
    torch.testing.assert_close(decoded, images.float(), rtol=0, atol=1e-6)
    if "use_quant_conv" in changes:  # later weights are then drawn anew, by other numbers
        return
    assert (float((decoded - before.decode(latents)).norm()) > 1e-3) == moves


def test_an_autoencoder_with_other_channels_than_the_unet(broken):
    new_vae(broken, latent_channels=8)
    with pytest.raises(ModelError, match="takes 4 channels, the autoencoder has 8"):
        TextToImage.load(broken)


SPACINGS = ("leading", "trailing", "linspace")
MULTISTEP = ("DPMSolverMultistepScheduler", "UniPCMultistepScheduler", "DEISMultistepScheduler")


@pytest.fixture(scope="module")
def pipeline(folders):
    """Of diffusers, as it is loaded; its scheduler is for each test to set."""
    return StableDiffusionPipeline.from_pretrained(folders["epsilon"], low_cpu_mem_usage=False)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize(
    "name",
    [*MULTISTEP, *(f"{name}Scheduler" for name in ("DDIM", "PNDM", "DDPM", "EulerDiscrete", "HeunDiscrete"))],
)
def test_another_scheduler_and_spacing(broken, pipeline, name, spacing):
    use_scheduler(broken, name, timestep_spacing=spacing)
    pipeline.scheduler = getattr(diffusers, name).from_pretrained(broken / "scheduler")
    _, t, *_ = first_pass(pipeline)
    times = TextToImage.load(broken).timesteps()
    assert times[0] == t == {"trailing": 999, "linspace": 999}.get(spacing, 951 if name in MULTISTEP else 981)
    assert len(times) == 50
    if name in MULTISTEP:  # a whole number for each step: all are the pipeline's
        assert times == pipeline.scheduler.timesteps.tolist()


@pytest.mark.parametrize("name", MULTISTEP)
def test_times_that_are_neither_ddims_nor_whole_numbers_are_refused(broken, name):
    use_scheduler(broken, name, timestep_spacing="leading", use_karras_sigmas=True)
    assert own_first_step(broken)[1] == 999
    with pytest.raises(ModelError, match=r"begins at time 999: .* DDIM begins at 981; .*karras"):
        TextToImage.load(broken)


def use_scheduler(folder, name, **changes):
    edit(folder / "model_index.json", scheduler=["diffusers", name])
    edit(folder / "scheduler" / "scheduler_config.json", _class_name=name, steps_offset=1, **changes)


@pytest.mark.parametrize(
    ("predicted", "last", "spacing", "refused"),
    [
        *(("epsilon", 2.0**-24, spacing, spacing != "leading") for spacing in SPACINGS),
        *(("v_prediction", 2.0**-24, spacing, False) for spacing in SPACINGS),
        *((predicted, 2.0**-22, "trailing", False) for predicted in ("epsilon", "v_prediction")),
        *((predicted, 0.0, "leading", False) for predicted in ("epsilon", "v_prediction")),
        ("epsilon", 0.0, "trailing", True),
    ],
)
def test_noise_levels_that_are_zero_to_rounding(broken, predicted, last, spacing, refused):
    """At the last time alone, which noise predictions with leading times leave out."""
    levels = [*torch.linspace(1, 0.005, 1000).double()[1:].tolist(), last]
    betas = [1 - b / a for a, b in zip([1.0, *levels], levels, strict=False)]
    changes = {"trained_betas": betas, "prediction_type": predicted, "timestep_spacing": spacing}
    edit(broken / "scheduler" / "scheduler_config.json", **changes)
    if refused:
        with pytest.raises(ModelError, match=r"predicts noise, and its \w+ has zero terminal signal"):
            TextToImage.load(broken)
    else:
        expected = 0 if last <= 2.0**-24 else pytest.approx(last, rel=0.05)
        assert TextToImage.load(broken).schedule.alpha(999) ** 2 == expected


def test_old_configurations_are_repaired_as_diffusers_does(broken):
    edit(broken / "unet" / "config.json", _diffusers_version="0.6.0")
    assert compare(broken).sample_shape == (4, 64, 64)


def test_a_textual_inversion_of_several_vectors(broken, folders):
    pipeline = StableDiffusionPipeline.from_pretrained(folders["epsilon"], low_cpu_mem_usage=False)
    vectors = torch.randn(4, 16, generator=torch.Generator().manual_seed(1))
    pipeline.load_textual_inversion(vectors, "<thing>")
    shutil.rmtree(broken)
    pipeline.save_pretrained(broken)
    model = compare(broken, ["a <thing>", "cat"])
    prompts = model.encode(["a <thing>", "a"])
    assert (prompts.lengths[0] - prompts.lengths[1]).item() == 4


def test_a_pipeline_at_hand(folders):
    pipeline = StableDiffusionPipeline.from_pretrained(folders["v"], low_cpu_mem_usage=False)
    model, loaded = TextToImage(pipeline), TextToImage.load(folders["v"])
    x = loaded.noise(2, torch.Generator().manual_seed(0))
    # The same weights in another memory format, so that sums are rounded in another order.
    torch.testing.assert_close(
        model.score(981, model.encode(["cat"]))(x),
        loaded.score(981, loaded.encode(["cat"]))(x),
        rtol=1e-5,
        atol=1e-5,
    )


def test_recording_draws_nothing_and_leaves_no_hook(exact):
    state, hooks = torch.get_rng_state(), len(exact.unet._forward_pre_hooks)
    exact.encode(["a cat"])
    assert torch.equal(torch.get_rng_state(), state)
    assert len(exact.unet._forward_pre_hooks) == hooks


def test_rows_of_conditions():
    tensor = torch.arange(3.0)[:, None]
    given = Conditions({"a": tensor, "b": {"c": tensor + 10, "d": None}}, {"e": torch.ones(1)}, 3)
    twice = given.repeat(2)
    assert (len(twice), twice.arguments["a"].flatten().tolist()) == (6, [0, 0, 1, 1, 2, 2])
    assert given[[2, 0]].arguments["b"]["c"].flatten().tolist() == [12, 10]
    assert len(given[1:]) == len(given[torch.tensor([0, 1])]) == 2
    joined = Conditions.joined([given[:1], given])
    assert (len(joined), joined.arguments["b"]["c"].flatten().tolist()) == (4, [10, 10, 11, 12])
    assert joined.shared is given.shared
    assert given.changed(a=tensor + 1).arguments["b"] is given.arguments["b"]
