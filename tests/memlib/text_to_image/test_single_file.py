"""A pipeline in one file of weights, and one whose parts take turns on the device."""

import importlib.util
import re
import shutil

import diffusers
import pytest
import torch
from safetensors.torch import load_file, save_file

from memlib.text_to_image import ModelError, TextToImage, loading, one_step

from .conftest import UNTRAINED

pytestmark = UNTRAINED

RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
ENDS = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}


def renamed(key, names):
    for old, new in names.items():
        if key.startswith(f"{old}."):
            return new + key.removeprefix(old)
    return key


def of_unet(key):
    """The name in Stable Diffusion's own files, of two blocks with one layer each."""
    if middle := re.fullmatch(r"mid_block\.(resnets|attentions)\.(\d)\.(.*)", key):
        part, number, rest = middle.groups()
        place = 1 if part == "attentions" else 2 * int(number)
        return f"middle_block.{place}.{renamed(rest, RESNET)}"
    if not (block := re.fullmatch(r"(down|up)_blocks\.(\d)\.(\w+)\.(\d)\.(.*)", key)):
        return renamed(key, ENDS)
    way, number, part, layer, rest = block.groups()
    number, layer = int(number), int(layer)
    if part == "downsamplers":
        return f"input_blocks.{2 * number + 2}.0.{rest.replace('conv', 'op')}"
    if part == "upsamplers":  # behind the last layer of a block without attention
        return f"output_blocks.{2 * number + 1}.1.{rest}"
    place = 2 * number + layer + (1 if way == "down" else 0)
    kind = 1 if part == "attentions" else 0
    return f"{'input' if way == 'down' else 'output'}_blocks.{place}.{kind}.{renamed(rest, RESNET)}"


def of_vae(key):
    key = key.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
    key = re.sub(r"mid_block\.resnets\.(\d)", lambda found: f"mid.block_{int(found[1]) + 1}", key)
    if attention := re.fullmatch(r"(.*)mid_block\.attentions\.0\.(.*)", key):
        return f"{attention[1]}mid.attn_1.{renamed(attention[2], ATTENTION)}"
    key = re.sub(r"(down|up)_blocks\.(\d)\.resnets", r"\1.\2.block", key)
    key = re.sub(r"(down|up)_blocks\.(\d)\.(down|up)samplers\.0", r"\1.\2.\3sample", key)
    return re.sub(r"\bup\.(\d)", lambda found: f"up.{1 - int(found[1])}", key)


def of_text(key):
    return key if key.startswith("text_model.") else f"text_model.{key}"


@pytest.fixture
def file(folders, tmp_path):
    """The epsilon pipeline as one file, and its folder without weights."""
    weights = {}
    for part, prefix, name in (
        ("unet", "model.diffusion_model.", of_unet),
        ("vae", "first_stage_model.", of_vae),
        ("text_encoder", "cond_stage_model.transformer.", of_text),
    ):
        (path,) = (folders["epsilon"] / part).glob("*.safetensors")
        for key, value in load_file(path).items():
            there = name(key)
            whole = "mid.attn_1" in there and value.ndim == 2  # a convolution there
            weights[prefix + there] = (value[:, :, None, None] if whole else value).contiguous()
    save_file(weights, tmp_path / "model.safetensors")
    shutil.copytree(folders["epsilon"], tmp_path / "config", ignore=shutil.ignore_patterns("*.safetensors"))
    return tmp_path / "model.safetensors"


def test_a_single_file_is_its_folder(file, folders, models):
    expected = models["epsilon", torch.float32]
    model = TextToImage.load(file, config=file.parent / "config")
    prompts, noise = expected.encode(["a cat", "cat"]), expected.noise(2, torch.Generator().manual_seed(0))
    ours, theirs = (one_step(one, one.encode(["a cat", "cat"]), noise) for one in (model, expected))
    assert torch.equal(ours.curvature, theirs.curvature)
    assert torch.equal(model.encode(["a cat", "cat"]).embeddings, prompts.embeddings)
    assert torch.equal(model.decode(noise), expected.decode(noise))
    for part in (model.vae, model.unet, model.text_encoder):
        assert not part.training
        assert not any(weight.requires_grad for weight in part.parameters())
    half = TextToImage.load(file, config=file.parent / "config", dtype=torch.bfloat16)
    assert (half.dtype, half.vae.dtype) == (torch.bfloat16, torch.float32)
    load = torch.nn.Module.load_state_dict
    assert load.__module__ == "torch.nn.modules.module"  # what looked for missing weights is gone


def test_the_file_counts_and_not_the_weights_beside_the_configuration(file, folders):
    weights = load_file(file)
    weights["model.diffusion_model.out.2.bias"] += 1
    save_file(weights, file)
    model = TextToImage.load(file, config=folders["epsilon"])
    assert (model.unet.conv_out.bias > 0.5).all()


def test_what_a_file_lacks_is_named(file):
    weights = load_file(file)
    del weights["model.diffusion_model.out.2.bias"]
    save_file(weights, file)
    lacks = r"lacks 1 weights, such as .*UNet2DConditionModel's conv_out.bias"
    with pytest.raises(ModelError, match=rf"{lacks}|of meta tensor; no data"):  # as accelerate calls it
        TextToImage.load(file, config=file.parent / "config")


def test_what_is_no_file_of_weights(file, folders, tmp_path):
    with pytest.raises(ModelError, match=r"is a single file of weights, .* config= \(--config\)"):
        TextToImage.load(file)
    (tmp_path / "model.ckpt").write_bytes(b"")
    with pytest.raises(ModelError, match=r"model.ckpt is no .safetensors; .* a pickle can run code"):
        TextToImage.load(tmp_path / "model.ckpt", config=file.parent / "config")
    with pytest.raises(ValueError, match="config belongs to a single file of weights"):
        TextToImage.load(folders["epsilon"], config=folders["epsilon"])
    (file.parent / "config" / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"")
    with pytest.raises(ModelError, match=r"unet holds only pickles"):
        TextToImage.load(file, config=file.parent / "config")
    file.write_bytes(b"nothing")
    (file.parent / "config" / "unet" / "diffusion_pytorch_model.bin").unlink()
    with pytest.raises(ModelError, match=r"cannot be loaded as StableDiffusionPipeline"):
        TextToImage.load(file, config=file.parent / "config")


def test_offloading_says_what_it_needs(folders, monkeypatch):
    monkeypatch.setattr(loading.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"offloading needs accelerate, .* -e '\.\[lora\]'"):
        TextToImage.load(folders["epsilon"], offload=True)


needs_accelerate = pytest.mark.skipif(
    importlib.util.find_spec("accelerate") is None, reason="accelerate is not installed"
)


@needs_accelerate
def test_parts_that_take_turns_give_the_same(folders, models):
    expected = models["epsilon", torch.float32]
    model = TextToImage.load(folders["epsilon"], offload=True)
    assert hasattr(model.unet, "_hf_hook")
    noise = expected.noise(2, torch.Generator().manual_seed(0))
    for product in ("difference", "vjp", "jvp"):
        ours, theirs = (
            one_step(one, one.encode(["a cat", "cat"]), noise, product=product) for one in (model, expected)
        )
        assert torch.equal(ours.curvature, theirs.curvature)
    assert torch.equal(model.decode(noise), expected.decode(noise))


@needs_accelerate
def test_weights_that_come_layer_by_layer_are_refused(folders):
    pipeline = diffusers.StableDiffusionPipeline.from_pretrained(folders["epsilon"], safety_checker=None)
    pipeline.enable_sequential_cpu_offload(device="cpu")
    with pytest.raises(ModelError, match=r"come and go layer by layer .* use enable_model_cpu_offload"):
        TextToImage(pipeline)
