"""What a fine-tune is given as: a folder, a single file of weights, a LoRA of any of three tools."""

import pytest
import torch
from safetensors.torch import save_file

from memlib.audit import pair
from memlib.text_to_image import ModelError

KEYS = {
    "diffusers": "unet.down_blocks.0.attentions.0.to_q.lora.down.weight",
    "peft": "unet.down_blocks.0.attentions.0.to_q.lora_A.weight",
    "kohya": "lora_unet_down_blocks_0_attentions_0_to_q.lora_down.weight",
}


@pytest.fixture
def file(tmp_path):
    def write(key):
        save_file({key: torch.zeros(2, 2)}, tmp_path / "model.safetensors")
        return str(tmp_path / "model.safetensors")

    return write


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_a_lora_is_its_base_with_a_change(file, key):
    model = file(key)
    assert pair.sources(model, "base", config="other") == ("base", model, "other")
    with pytest.raises(ModelError, match="is a LoRA, a change of weights: name the model that it changes by"):
        pair.sources(model, "")
    with pytest.raises(ModelError, match="are a LoRA; fuse them first"):
        pair.sources(model, "base", lora="second.safetensors")


def test_a_single_file_is_configured_as_its_base(file):
    model = file("model.diffusion_model.input_blocks.0.0.weight")
    assert pair.sources(model, "base") == (model, "", "base")
    assert pair.sources(model, "base", config="other") == (model, "", "other")


def test_folders_and_hub_ids_stay_as_they_are(tmp_path):
    assert pair.sources(str(tmp_path), "base", "style.safetensors") == (
        str(tmp_path),
        "style.safetensors",
        "",
    )
    assert pair.sources("owner/name", "") == ("owner/name", "", "")


def test_a_file_that_is_no_safetensors_is_named(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"pickle")
    with pytest.raises(ModelError, match=r"model\.safetensors cannot be read as safetensors"):
        pair.sources(str(tmp_path / "model.safetensors"), "base")
