"""A LoRA in a file, against diffusers' own pipeline with the same file."""

import importlib.util
import sys

import diffusers
import pytest
import torch

from memlib.text_to_image import ModelError, TextToImage, loading

from .test_families import CAPTIONS

NAMES = ("sd3", "sdxl")
needs_peft = pytest.mark.skipif(importlib.util.find_spec("peft") is None, reason="peft is not installed")


def network(pipeline):
    return getattr(pipeline, "transformer", None) or pipeline.unet


def opened(folder):
    kind = diffusers.StableDiffusion3Pipeline if folder.name == "sd3" else diffusers.StableDiffusionXLPipeline
    return kind.from_pretrained(folder, low_cpu_mem_usage=False)


def write_lora(folder, path):
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    pipeline = opened(folder)
    part = network(pipeline)
    part.add_adapter(LoraConfig(r=2, lora_alpha=2, target_modules=["to_q", "to_v"]))
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        for key, weight in part.named_parameters():
            if "lora_B" in key:
                weight.normal_(std=0.3)
    kind = "transformer" if folder.name == "sd3" else "unet"
    given = {f"{kind}_lora_layers": get_peft_model_state_dict(part)}
    pipeline.save_lora_weights(path.parent, weight_name=path.name, **given)
    return path


@needs_peft
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NAMES)
def test_a_lora_is_added_as_diffusers_adds_it(written, tmp_path, name):
    path = write_lora(written[name], tmp_path / "style.safetensors")
    plain, model = TextToImage.load(written[name]), TextToImage.load(written[name], lora=path)
    own = opened(written[name])
    own.load_lora_weights(path.parent, weight_name=path.name)
    t, prompts = model.timesteps()[0], model.encode(CAPTIONS)
    x = model.noise(2, torch.Generator().manual_seed(0))
    given = prompts.conditions.arguments | prompts.conditions.shared
    with torch.no_grad():
        expected = network(own)(x, timestep=model._clock.told(t, 2), **given, return_dict=False)[0]
        found, before = (one.predict(t, x, prompts.conditions) for one in (model, plain))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert (found - before).norm() > 1e-2 * before.norm()
    assert not any(weight.requires_grad for weight in model.denoiser.parameters())
    assert not any("lora" in key for key in model.denoiser.state_dict())


@needs_peft
@pytest.mark.filterwarnings("ignore")
def test_a_lora_of_another_kind_of_network(written, tmp_path):
    path = write_lora(written["sdxl"], tmp_path / "style.safetensors")
    with pytest.raises(ModelError, match=r"(changes no weight of this|cannot be fused into a) StableDiff"):
        TextToImage.load(written["sd3"], lora=path)


def test_what_is_no_file_of_a_lora(written, tmp_path):
    (tmp_path / "style.bin").write_bytes(b"")
    for name in ("style.bin", "missing.safetensors"):
        with pytest.raises(ModelError, match=rf"{name} is no file of a LoRA: expected .*safetensors"):
            TextToImage.load(written["sd3"], lora=tmp_path / name)


def test_without_peft_the_error_says_how_to_get_it(written, tmp_path, monkeypatch):
    pipeline = opened(written["sd3"])
    monkeypatch.setitem(sys.modules, "peft", None)
    (tmp_path / "style.safetensors").write_bytes(b"")
    with pytest.raises(ImportError, match=r"read with peft, which is missing; .* -e '\.\[lora\]'"):
        loading.fuse(pipeline, tmp_path / "style.safetensors")
