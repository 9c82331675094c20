"""Copies are found in each space, at thresholds that innocent images keep; vision models are read safely."""

import json

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import (
    CLIPConfig,
    CLIPModel,
    ResNetConfig,
    ResNetModel,
    ViTConfig,
    ViTForImageClassification,
)

from memlib.audit import spaces, training_set, verification
from memlib.audit.duplicates import repetition
from memlib.audit.spaces import Encoder, EncoderError

from .conftest import lines, picture

PIXELS = {"pixels": spaces.of_pixels(16)}


@pytest.fixture
def paths(folder):
    return [folder / name for name in ("a.png", "b.JPG", "more/c.webp")]


def test_training_images_among_generated_ones_are_found(paths, tmp_path):
    """Noise on a training image is a copy of it, another image is none."""
    library = verification.Library(paths, torch.arange(3), PIXELS)
    made, grey = tmp_path / "made.png", tmp_path / "grey.png"
    image = training_set.opened(paths[1])
    image.putpixel((0, 0), (0, 0, 0))
    image.save(made)
    Image.new("RGB", image.size, (127, 127, 127)).save(grey)
    found = verification.calibrated(library).matches([made, grey])
    assert found[made].reproduced
    assert not found[grey].reproduced
    assert found[made].nearest == {"pixels": 1}
    strict = verification.calibrated(library, [made, made])  # innocent images as near as this one
    assert not strict.matches([made])[made].reproduced
    assert strict.innocent.value == 0


def test_images_that_all_look_alike_hide_every_copy(paths):
    with pytest.raises(ValueError, match="all 3 training images look alike"):
        verification.Library(paths, torch.zeros(3, dtype=torch.int64), PIXELS)


def test_a_copy_in_one_space_suffices_and_the_rate_is_that_of_all(paths, tmp_path):
    """Turned upside down a copy is none in pixels, but is one where directions do not count."""
    names = {
        **PIXELS,
        "colours": lambda images: PIXELS["pixels"](images).reshape(len(images), 3, -1).sort().values[:, 0],
    }
    library = verification.Library(paths, torch.arange(3), names)
    made = tmp_path / "made.png"
    training_set.opened(paths[0]).rotate(180).save(made)
    match = verification.calibrated(library).matches([made])[made]
    assert match.ratio["pixels"] > 1 / 3 > match.ratio["colours"]
    assert (match.best, match.reproduced, match.nearest["colours"]) == ("colours", True, 0)
    innocent = []
    for k in range(400):
        innocent.append(tmp_path / f"{k}.png")
        picture(100 + k, (16, 16)).save(innocent[-1])
    judge = verification.calibrated(library, innocent)
    assert judge.innocent.value <= 0.01
    for name, ratios in judge.innocent_ratios.items():
        assert sum(ratio < judge.thresholds[name] for ratio in ratios) == 2  # 0.005 of 400 each


def test_latents_are_those_of_the_model(models, paths):
    model = models["epsilon", torch.float32]
    found = spaces.spaces(model)
    assert list(found) == ["pixels", "latents"]
    height, width = spaces.size(model)
    images = [training_set.opened(path) for path in paths]
    pixels = torch.stack([training_set.pixels(image, height, width) for image in images])
    torch.testing.assert_close(found["latents"](images), model.latents(pixels / 2 + 0.5).flatten(1))


def saved(folder, kind):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
        if kind == "vit":  # has no weights of a pooler, and has those of a classifier
            model = ViTForImageClassification(ViTConfig(**small, image_size=16, patch_size=8))
        elif kind == "clip":
            sizes = {"text_config": {**small, "vocab_size": 50}, "projection_dim": 8}
            model = CLIPModel(CLIPConfig(**sizes, vision_config={**small, "image_size": 16, "patch_size": 8}))
        else:
            sizes = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1]}
            model = ResNetModel(ResNetConfig(**sizes, layer_type="basic"))
    model.save_pretrained(folder)
    return model.eval()


@pytest.mark.parametrize("kind", ["vit", "clip", "resnet"])
def test_vision_models_give_features_of_unit_length(tmp_path, paths, kind):
    model = saved(tmp_path, kind)
    told = {"image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.3, 0.25], "size": {"height": 16, "width": 16}}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(told))
    encoder = Encoder(tmp_path)
    images = [training_set.opened(path) for path in paths]
    found = encoder(images)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(3))
    assert torch.equal(Encoder(tmp_path)(images), found)  # no weight is random
    pixels = torch.stack([training_set.pixels(image, 16, 16) for image in images]) / 2 + 0.5
    given = (pixels - torch.tensor(told["image_mean"]).reshape(3, 1, 1)) / torch.tensor(
        told["image_std"]
    ).reshape(3, 1, 1)
    with torch.no_grad():
        if kind == "vit":
            expected = model.vit(pixel_values=given).last_hidden_state.mean(1)
        elif kind == "clip":
            expected = model.vision_model(pixel_values=given).pooler_output
        else:
            expected = model(pixel_values=given).pooler_output.flatten(1)
    torch.testing.assert_close(found, torch.nn.functional.normalize(expected, dim=1))
    assert list(encoder.identity) == ["model.safetensors"]


def test_an_encoder_that_cannot_be_used_says_why(tmp_path, folders):
    with pytest.raises(EncoderError, match="there is no folder"):
        Encoder(tmp_path / "gone")
    with pytest.raises(EncoderError, match="cannot be read as a vision model of transformers"):
        Encoder(folders["epsilon"])
    with pytest.raises(EncoderError, match="holds a CLIPTextModel, expected a model that reads images"):
        Encoder(folders["epsilon"] / "text_encoder")
    saved(tmp_path / "resnet", "resnet")
    weights = load_file(tmp_path / "resnet/model.safetensors")
    save_file(dict(list(weights.items())[3:]), tmp_path / "resnet/model.safetensors", {"format": "pt"})
    with pytest.raises(EncoderError, match=r"the weights in .*resnet lack"):
        Encoder(tmp_path / "resnet")
    saved(tmp_path / "code", "resnet")
    told = json.loads((tmp_path / "code/config.json").read_text())
    told |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Mine", "AutoModel": "mine.Mine"}}
    (tmp_path / "code/config.json").write_text(json.dumps(told))
    (tmp_path / "code/mine.py").write_text("raise SystemExit('the folder ran code')")
    with pytest.raises(EncoderError, match="cannot be read as a vision model of transformers"):
        Encoder(tmp_path / "code")
    saved(tmp_path / "pickle", "resnet")
    torch.save(weights, tmp_path / "pickle/pytorch_model.bin")
    (tmp_path / "pickle/model.safetensors").unlink()
    with pytest.raises(EncoderError, match="weights as safetensors"):
        Encoder(tmp_path / "pickle")


def test_an_encoder_groups_images_that_hashes_do_not(folder):
    """One that sees colours alone joins an image and the same upside down, and no others."""

    def colours(images):
        return PIXELS["pixels"](images).reshape(len(images), 3, -1).sort().values.flatten(1)

    training_set.opened(folder / "a.png").rotate(180).save(folder / "turned.png")
    for k in range(6):
        picture(50 + k).save(folder / f"other{k}.png")
    names = sorted(training_set.below(folder))
    lines(folder, [{"file_name": name, "text": "x"} for name in names])
    examples = training_set.read(folder)
    assert max(repetition(examples).images) == 1
    found = repetition(examples, colours)
    assert [name for name, count in zip(names, found.images, strict=True) if count > 1] == [
        "a.png",
        "turned.png",
    ]
