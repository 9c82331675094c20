"""The first denoising step against diffusers' own pipeline on the same folder, entry by entry."""

import json
import shutil

import pytest
import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel

from memlib.text_to_image import Conditions, ModelError, TextToImage

CAPTIONS = ["a cat", "tac"]
PADDING = {"pad_token": "!"}


class Reached(Exception):  # noqa: N818
    """The first pass is over."""


def own_first_step(folder, captions=CAPTIONS, **options):
    """What the pipeline gives its U-Net at first and gets: points, time, both halves of the output."""
    pipeline = StableDiffusionPipeline.from_pretrained(
        folder, use_safetensors=True, low_cpu_mem_usage=False, torch_dtype=torch.float64
    )
    seen = []

    def note(_, given, __, out):
        seen.extend((given[0], int(given[1]), *out[0].chunk(2)))
        raise Reached

    pipeline.unet.register_forward_hook(note, with_kwargs=True)
    with pytest.raises(Reached):
        pipeline(captions, generator=torch.Generator().manual_seed(0), output_type="latent", **options)
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
        {"act_fn": "gelu"},
        {"flip_sin_to_cos": False},
        {"freq_shift": 1},
        {"center_input_sample": True},
        {"attention_head_dim": 4},
        {"norm_eps": 1e-2},
        {"norm_num_groups": 2},
        {"resnet_time_scale_shift": "scale_shift"},
        {"use_linear_projection": True},
        {"upcast_attention": True},
        {"only_cross_attention": True},
        {"mid_block_type": None},
        {"mid_block_scale_factor": 2.0},
        {"conv_in_kernel": 1},
        {"time_embedding_type": "fourier"},
        {"timestep_post_act": "silu"},
        {"time_embedding_act_fn": "silu"},
        {"encoder_hid_dim": 16, "encoder_hid_dim_type": "text_proj"},
        {"transformer_layers_per_block": 2},
        {"sample_size": (4, 8)},
        {"cross_attention_norm": "layer_norm"},
        {"addition_embed_type": "text", "addition_embed_type_num_heads": 2},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_every_entry_of_the_unet(broken, changes):
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


@pytest.mark.parametrize(
    "changes", [{"hidden_act": "gelu"}, {"layer_norm_eps": 0.1}, {"use_attention_mask": True}], ids=str
)
def test_every_entry_of_the_text_encoder(broken, folders, changes):
    edit(broken / "text_encoder" / "config.json", **changes)
    changed = compare(broken)
    moved = (
        changed.encode(CAPTIONS).embeddings
        - TextToImage.load(folders["epsilon"], dtype=torch.float64).encode(CAPTIONS).embeddings
    )
    assert moved.norm() > 1e-3


def test_a_padding_of_its_own(broken):
    edit(broken / "tokenizer" / "tokenizer_config.json", **PADDING)
    compare(broken)


@pytest.mark.parametrize(
    ("name", "spacing"),
    [
        ("EulerDiscreteScheduler", "leading"),
        ("EulerDiscreteScheduler", "trailing"),
        ("DDPMScheduler", "leading"),
        ("DDPMScheduler", "trailing"),
        ("DPMSolverMultistepScheduler", "trailing"),  # its leading times differ from those of all others
    ],
)
def test_another_scheduler_and_spacing(broken, name, spacing):
    edit(broken / "model_index.json", scheduler=["diffusers", name])
    path = broken / "scheduler" / "scheduler_config.json"
    edit(path, _class_name=name, timestep_spacing=spacing, steps_offset=1)
    _, t, *_ = own_first_step(broken)
    assert TextToImage.load(broken).timesteps()[0] == t


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
    assert torch.equal(
        model.score(981, model.encode(["cat"]))(x), loaded.score(981, loaded.encode(["cat"]))(x)
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
