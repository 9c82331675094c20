"""`memlib audit`: what it is given and refuses, LoRA files, and that no kill changes a byte of the report."""

import importlib.util
import json
import os
import re
import shutil
import struct
import time
import zlib

import numpy as np
import pytest
import torch
from PIL import Image
from pyarrow import parquet
from safetensors.torch import load_file, save_file

from memlib.text_to_image import TextToImage

from ..audit.conftest import picture
from ..text_to_image.conftest import UNTRAINED
from .conftest import as_words, start

pytestmark = UNTRAINED

KILLS = int(os.environ.get("MEMLIB_KILLS", "1"))
"""At random moments; set it to 20 for a thorough test."""
SHORT = {"seeds": 2, "num-inference-steps": 2, "batch": 4, "suspicious": 2, "random": 2}
CAPTIONS = ("a cat", "tac", "x", "y cat", "cat cat")
needs_peft = pytest.mark.skipif(importlib.util.find_spec("peft") is None, reason="peft is not installed")


@pytest.fixture(scope="module")
def tuned(folders, tmp_path_factory):
    """A fine-tune of the epsilon pipeline: some weights of its U-Net have moved."""
    folder = shutil.copytree(folders["epsilon"], tmp_path_factory.mktemp("tuned") / "pipeline")
    path = folder / "unet/diffusion_pytorch_model.safetensors"
    weights, generator = load_file(path), torch.Generator().manual_seed(0)
    for name in sorted(name for name in weights if "attn2" in name):
        weights[name] += 0.3 * torch.randn(weights[name].shape, generator=generator)
    save_file(weights, path, {"format": "pt"})
    return folder


@pytest.fixture
def training(tmp_path):
    """Images with captions beside them."""
    home = tmp_path / "training"
    home.mkdir()
    for number, text in enumerate(CAPTIONS):
        picture(number).save(home / f"{number}.png")
        (home / f"{number}.txt").write_text(text)
    return home


@pytest.fixture
def audit(memlib, tuned, folders, training, tmp_path):
    """A function that audits the fine-tune; options are added, None takes one away."""

    def call(**more):
        given = {"model": tuned, "base": folders["epsilon"], "training": training, "out": tmp_path / "report"}
        options = {name.replace("_", "-"): value for name, value in {**SHORT, **given, **more}.items()}
        return memlib(
            "audit", *as_words({name: value for name, value in options.items() if value is not None})
        )

    return call


def said(text):
    return " ".join(text.split())


def test_verdict_and_files(audit, tmp_path):
    code, out, err = audit()
    assert code == 0, err
    assert "No training image came out under the 4 captions" in said(out)
    names = {path.name for path in (tmp_path / "report").iterdir()}
    assert names == {
        "images", "images.parquet", "innocent_images", "innocent_images.parquet",
        "report.html", "report.json", "report.schema.json", "values.parquet",
    }  # fmt: skip
    rows = parquet.read_table(tmp_path / "report/values.parquet").to_pylist()
    assert [(row["prompt"], row["seed"]) for row in rows] == [(text, s) for text in CAPTIONS for s in (0, 1)]


def test_steps_are_named_as_in_detect(audit, tmp_path):
    assert audit(steps=2)[0] == 0
    assert json.loads((tmp_path / "report/report.json").read_text())["settings"]["average_steps"] == 2


def test_the_images_of_a_model_that_is_its_own_training_set_come_out(memlib, audit, tuned, tmp_path):
    """What the model makes of its captions is its training set, so that everything is a copy."""
    home = generated(memlib, tuned, tmp_path)
    code, out, err = audit(training=home, random=9)
    assert code == 0, err
    found = json.loads((tmp_path / "report/report.json").read_text())
    assert all(pair["reproduced"] for one in found["captions"] for pair in one["pairs"])
    assert found["extracted"]["value"] == 1
    assert "The model gives back training images" in said(out)
    for space, threshold in found["thresholds"].items():
        assert 0 < threshold <= 1 / 3, space


def generated(memlib, model, tmp_path):
    """A training set of images that a model makes of captions, with a table of them."""
    (tmp_path / "prompts.txt").write_text("\n".join(CAPTIONS))
    short = {name: SHORT[name] for name in ("seeds", "num-inference-steps", "batch")}
    given = {"model": model, "prompts": tmp_path / "prompts.txt", "out": tmp_path / "made", **short}
    code, _, err = memlib("generate", *as_words(given))
    assert code == 0, err
    home = tmp_path / "made/images"
    rows = parquet.read_table(tmp_path / "made/images.parquet").to_pylist()
    lines = [json.dumps({"file_name": row["image"], "text": row["prompt"]}) for row in rows]
    (home / "metadata.jsonl").write_text("\n".join(lines))
    return home


def png(width, height):
    """A file of some bytes that says it is an image of any size."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("5.png", png(8, 8), "1 image without a caption: 5.png"),
        ("3.png", b"no image", r"3\.png cannot be read as an image"),
        ("3.png", png(40000, 40000), r"3\.png .*(pixels|bomb)"),
        ("metadata.jsonl", b'{"file_name": "9.png", "text": "x"}', "5 images without a caption: 0.png"),
        ("3.txt", b"", r"3\.txt holds no caption"),
    ],
)
def test_a_training_set_that_is_broken_is_named_before_anything_is_computed(
    audit, training, tmp_path, name, content, message
):
    (training / name).write_bytes(content)
    code, _, err = audit()
    assert code == 1
    assert re.search(message, said(err))
    assert not (tmp_path / "report").exists()


def test_captions_without_images_are_named(audit, training):
    rows = [json.dumps({"file_name": f"{k}.png", "text": text}) for k, text in enumerate((*CAPTIONS, "more"))]
    (training / "metadata.jsonl").write_text("\n".join(rows))
    assert "1 caption without an image below" in said(audit()[2])
    assert "which is missing" in said(audit(training=None, captions=training / "metadata.jsonl")[2])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no prompt; expected one a line"),
        ("harmless", "1 calibration caption does not say what is usual; give many, or none"),
        ("harmless\na cat", "1 calibration captions are those of training images, such as 'a cat'"),
    ],
)
def test_calibration_captions_that_are_none(audit, tmp_path, text, message):
    (tmp_path / "harmless.txt").write_text(text)
    code, _, err = audit(calibration=tmp_path / "harmless.txt")
    assert (code, message in said(err)) == (1, True), err


def test_a_kind_without_harmless_captions_is_refused_before_anything_is_computed(audit, training, tmp_path):
    rows = [{"file_name": f"{k}.png", "text": text, "family": "b"} for k, text in enumerate(CAPTIONS)]
    (training / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "harmless.csv").write_text("prompt,family\nu,a\nv,a\n")
    code, _, err = audit(calibration=tmp_path / "harmless.csv")
    assert (code, "no calibration caption of the kind 'b'; there are: a" in said(err)) == (1, True), err
    assert not (tmp_path / "report").exists()


def test_a_base_that_is_another_model_is_refused(audit, folders, tuned):
    code, _, err = audit(base=folders["v"])
    assert (code, "no weight of" in said(err)) == (1, True), err
    assert "all weights of" in said(audit(base=tuned)[2])


def test_without_a_training_set_it_ranks_prompts(audit, tmp_path):
    (tmp_path / "prompts.txt").write_text("a cat\ntac")
    code, out, err = audit(training=None, base=None, prompts=tmp_path / "prompts.txt")
    assert code == 0, err
    assert "No training images were given" in said(out)
    assert "nothing to look at" in said(audit(training=None, out=tmp_path / "other")[2])


def test_images_without_prompts(audit, training, tmp_path):
    unseen = tmp_path / "unseen"
    unseen.mkdir()
    for number in range(3):
        picture(40 + number).save(unseen / f"{number}.png")
    code, out, err = audit(training=None, images=training, held_out=unseen)
    assert code == 0, err
    assert "None of the 5 images without a prompt is better known" in said(out)
    assert "there are 0; give many of like complexity" in said(audit(images=training)[2])


def test_an_encoder_is_one_more_space(audit, tmp_path):
    from transformers import ResNetConfig, ResNetModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
        ResNetModel(config).save_pretrained(tmp_path / "vision")
    code, _, err = audit(encoder=tmp_path / "vision")
    assert code == 0, err
    found = json.loads((tmp_path / "report/report.json").read_text())
    assert set(found["thresholds"]) == {"pixels", "latents", "encoder"}
    assert "encoder" in found["identity"]
    assert "there is no folder" in said(audit(encoder=tmp_path / "gone")[2])


def kohya(folder, path):
    """A LoRA of the cross-attention under the names that kohya's scripts give; module -> change."""
    weights = load_file(folder / "unet/diffusion_pytorch_model.safetensors")
    generator, found, changes = torch.Generator().manual_seed(0), {}, {}
    for name in sorted(name for name in weights if name.endswith(("attn2.to_q.weight", "attn2.to_v.weight"))):
        out, into = weights[name].shape
        up, down = (torch.randn(shape, generator=generator) for shape in ((out, 2), (2, into)))
        key = "lora_unet_" + name.removesuffix(".weight").replace(".", "_")
        found |= {
            f"{key}.lora_up.weight": up,
            f"{key}.lora_down.weight": down,
            f"{key}.alpha": torch.tensor(1.0),
        }
        changes[name] = 0.5 * up @ down
    save_file(found, path)
    return weights, changes


@needs_peft
@pytest.mark.filterwarnings("ignore")
def test_a_lora_of_kohyas_scripts_is_the_model(audit, folders, tmp_path):
    path = tmp_path / "style.safetensors"
    weights, changes = kohya(folders["epsilon"], path)
    assert changes
    fused = TextToImage.load(folders["epsilon"], lora=path).denoiser.state_dict()
    for name, weight in weights.items():
        torch.testing.assert_close(fused[name], weight + changes.get(name, 0), rtol=1e-4, atol=1e-4)
    code, _, err = audit(model=path)
    assert code == 0, err
    found = json.loads((tmp_path / "report/report.json").read_text())
    assert found["model"] == f"{folders['epsilon']} with {path}"
    assert found["kept"]["tensors"] - found["kept"]["same"] == len(changes)
    assert "name the model that it changes by --base" in said(audit(model=path, base=None)[2])


@needs_peft
@pytest.mark.filterwarnings("ignore")
def test_a_lora_for_another_architecture_is_refused(audit, written, folders, tmp_path):
    path = tmp_path / "style.safetensors"
    kohya(folders["epsilon"], path)
    code, _, err = audit(model=path, base=written["sdxl"])
    assert code == 1
    assert re.search(r"(changes no weight of this|cannot be fused into a) StableDiffusionXL", said(err))


@pytest.mark.slow
def test_killed_at_random_moments_the_report_is_the_same_to_the_byte(memlib, folders, tuned, tmp_path):
    """But for its time; every part is there: list, images, mitigations, images without prompts."""
    home = generated(memlib, tuned, tmp_path)
    unseen = tmp_path / "unseen"
    unseen.mkdir()
    for number in range(3):
        Image.effect_noise((16, 16), 50).save(unseen / f"{number}.png")
    (tmp_path / "harmless.txt").write_text("\n".join(f"k {number} cat" for number in range(12)))
    folders_given = {"training": home, "images": home, "held-out": unseen, "base": folders["epsilon"]}
    more = {"calibration": tmp_path / "harmless.txt", "rate": 0.5, "average-steps": 2}
    given = {**SHORT, **folders_given, **more, "model": tuned}

    def begin(out):
        return start("audit", "--try-mitigations", **given, out=out)

    def finished(out):
        process = begin(out)
        process.join()
        assert process.exitcode == 0
        return {path.name: untimed(path) for path in out.iterdir() if path.is_file() and path.name[0] != "."}

    began = time.monotonic()
    whole = finished(tmp_path / "whole")
    taken = time.monotonic() - began
    assert {"report.json", "report.html", "values.parquet", "images_without_prompts.parquet"} <= set(whole)
    assert json.loads((tmp_path / "whole/report.json").read_text())["mitigations"]
    dice, killed, out = np.random.default_rng(0), 0, tmp_path / "parts"
    while killed < KILLS:
        process = begin(out)
        process.join(dice.uniform(0.1, 0.7) * taken)
        if process.exitcode is None:
            killed += 1
            process.kill()
            process.join()
        else:  # done in spite of all: begin again
            assert finished(out) == whole
            shutil.rmtree(out)
    assert finished(out) == whole


def untimed(path):
    """The bytes of a file without the time of a report."""
    held = path.read_bytes()
    held = re.sub(rb'"made": "[^"]+"', b"", held)
    return re.sub(rb"<td>[\d-]+ [\d:]+ UTC by", b"", held)
