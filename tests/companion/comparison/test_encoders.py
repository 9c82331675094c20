"""Vectors of images and captions against transformers' own, and what a folder must hold."""

import json
import shutil

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from companion.comparison import encoders
from companion.comparison.encoders import Clip, Dino, as_pictures
from memlib.text_to_image import ModelError

from .encoder_folders import SIDE, write_clip, write_dino


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    home = tmp_path_factory.mktemp("encoders")
    return {Clip: write_clip(home / "clip"), Dino: write_dino(home / "dino")}


@pytest.fixture(params=[Clip, Dino], ids=["clip", "dino"])
def kind(request):
    return request.param


@pytest.fixture
def pictures():
    """Images of several shapes."""
    rng = np.random.default_rng(0)
    shapes = [(SIDE, SIDE), (40, 24), (24, 40), (90, 17), (SIDE, SIDE)]
    return [Image.fromarray(rng.integers(0, 256, (*shape, 3), dtype=np.uint8)) for shape in shapes]


def pixels(picture, kind):
    """The centre of an image whose shorter side is scaled to `SIDE`, standardised channel by channel."""
    short = min(picture.size)
    width, height = (SIDE * side // short for side in picture.size)
    scaled = np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float64) / 255
    top, left = (height - SIDE) // 2, (width - SIDE) // 2
    cut = scaled[top : top + SIDE, left : left + SIDE]
    mean, std = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
    return torch.tensor((cut - mean) / std, dtype=torch.float32).permute(2, 0, 1)[None]


def test_images_are_scaled_cropped_and_seen_as_transformers_does(kind, folders, pictures):
    encoder = kind.load(folders[kind])
    found = encoder.images(pictures)
    for picture, vector in zip(pictures, found, strict=True):
        x = pixels(picture, kind)
        with torch.no_grad():
            if kind is Clip:
                model = transformers.CLIPModel.from_pretrained(folders[kind])
                raw = model.get_image_features(pixel_values=x)
                raw = getattr(raw, "pooler_output", raw)[0]
            else:
                model = transformers.Dinov2Model.from_pretrained(folders[kind])
                raw = model(x).last_hidden_state[0, 0]
        torch.testing.assert_close(vector, raw / raw.square().sum().sqrt(), rtol=0, atol=1e-5)
    assert not torch.allclose(found[1], found[2], atol=0.05)


def test_a_vector_does_not_depend_on_the_other_images(kind, folders, pictures, monkeypatch):
    encoder = kind.load(folders[kind])
    together = encoder.images(iter(pictures))
    alone = torch.cat([encoder.images([picture]) for picture in pictures])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-6)
    monkeypatch.setattr(encoders.Encoder, "rows", 2)
    torch.testing.assert_close(encoder.images(iter(pictures)), together, rtol=0, atol=1e-6)
    torch.testing.assert_close(together.norm(dim=1), torch.ones(5))
    assert not together.requires_grad
    with pytest.raises(ValueError, match="got no image"):
        encoder.images([])


def test_captions_are_read_to_their_end_in_any_batch(folders, monkeypatch):
    clip = Clip.load(folders[Clip])
    captions = ["a cat", "cat", "a cat on a cat", "cat " * 30]
    together = clip.texts(captions)
    torch.testing.assert_close(
        together, torch.cat([clip.texts([text]) for text in captions]), rtol=0, atol=1e-6
    )
    monkeypatch.setattr(encoders.Encoder, "rows", 3)
    torch.testing.assert_close(clip.texts(captions), together, rtol=0, atol=1e-6)
    ids = clip.tokenizer(captions[0], return_tensors="pt").input_ids
    hidden = clip.network.text_model(ids).last_hidden_state[0, -1]
    raw = clip.network.text_projection.weight @ hidden
    torch.testing.assert_close(together[0], raw / raw.norm(), rtol=0, atol=1e-5)
    assert (together @ together.T).fill_diagonal_(0).max() < 0.999


def test_eight_bits_a_colour():
    x = torch.zeros(1, 3, 2, 4)
    x[0, :, 1, 3] = torch.tensor([1.0, 0.5, 0.1])
    (picture,) = as_pictures(x)
    assert picture.size == (4, 2)
    assert picture.getpixel((3, 1)) == (255, 128, 26)


@pytest.fixture
def broken(kind, folders, tmp_path):
    """A copy, to be damaged."""
    return shutil.copytree(folders[kind], tmp_path / "encoder")


def test_a_pickle_is_refused(kind, broken):
    (broken / "model.safetensors").unlink()
    torch.save({}, broken / "pytorch_model.bin")
    with pytest.raises(
        ModelError, match=r"only pickles, pytorch_model.bin; weights are read from safetensors"
    ):
        kind.load(broken)


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json"])
def test_a_missing_configuration(kind, broken, name):
    (broken / name).unlink()
    with pytest.raises(ModelError, match=rf"{name} is missing; expected what save_pretrained of"):
        kind.load(broken)


def test_another_model_and_code_of_the_folders_own(kind, broken):
    path = broken / "config.json"
    changed = json.loads(path.read_text()) | {"model_type": "mine", "auto_map": {"AutoModel": "mine.Mine"}}
    path.write_text(json.dumps(changed))
    (broken / "mine.py").write_text("raise SystemExit('the folder ran code')")
    with pytest.raises(ModelError, match=r"holds a model of type 'mine', expected '(clip|dinov2)'"):
        kind.load(broken)


def test_a_missing_tokenizer(folders, tmp_path):
    folder = shutil.copytree(folders[Clip], tmp_path / "clip")
    for name in ("vocab.json", "tokenizer.json"):
        (folder / name).unlink(missing_ok=True)
    with pytest.raises(ModelError, match="holds no tokenizer"):
        Clip.load(folder)


def test_the_hub_is_asked_for_what_is_needed_at_the_pinned_commit(kind, folders, monkeypatch):
    from huggingface_hub.utils import filter_repo_objects

    asked = []

    def snapshot(name, *, revision, allow_patterns, ignore_patterns):
        published = [
            *("README.md", "config.json", "flax_model.msgpack", "merges.txt", "model.safetensors"),
            *("open_clip_config.json", "open_clip_model.safetensors", "open_clip_pytorch_model.bin"),
            *("preprocessor_config.json", "pytorch_model.bin", "tokenizer.json", "vocab.json", "mine.py"),
        ]
        fetched = filter_repo_objects(
            published, allow_patterns=allow_patterns, ignore_patterns=ignore_patterns
        )
        asked.append((name, revision, sorted(fetched)))
        return str(folders[kind])

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    kind.load()
    kind.load("owner/other")
    kind.load(kind.published, revision="main")
    wanted = ["config.json", "merges.txt", "model.safetensors", "preprocessor_config.json"]
    wanted += ["tokenizer.json", "vocab.json"]
    assert asked == [
        (kind.published, encoders.PINNED[kind.published], wanted),
        ("owner/other", None, wanted),
        (kind.published, "main", wanted),
    ]
    assert len(encoders.PINNED[kind.published]) == 40
