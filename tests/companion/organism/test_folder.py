"""Folders that diffusers loads as it loads Stable Diffusion, complete or refused."""

import json

import pytest
import torch

pytest.importorskip("diffusers")
pytest.importorskip("transformers")

from diffusers import StableDiffusionPipeline
from safetensors import safe_open

from companion.datasets import DataError
from companion.organism.folder import (
    load_autoencoder,
    load_pipeline,
    pipeline,
    read_card,
    save_autoencoder,
    save_pipeline,
    save_whole,
)
from companion.organism.parts import TextToImage, TextToImageConfig, scheduler
from memlib.schedule import VariancePreserving


@pytest.fixture
def parts(tiny_autoencoder, tiny_model):
    autoencoder = tiny_autoencoder().model
    autoencoder.register_to_config(scaling_factor=0.7)
    return tiny_model(), autoencoder


@pytest.fixture
def saved(parts, tmp_path):
    """A folder with a v model, and its networks as they were."""
    network, autoencoder = parts
    rounded = {k: v.half().float() for k, v in network.unet.state_dict().items()}
    save_pipeline(tmp_path / "model", pipeline(network, autoencoder, "v"), {"name": "tiny"})
    return tmp_path / "model", rounded


def test_diffusers_loads_the_folder_as_any_other(saved):
    folder, rounded = saved
    loaded = StableDiffusionPipeline.from_pretrained(folder, local_files_only=True, use_safetensors=True)
    for part in (loaded.vae, loaded.text_encoder, loaded.unet):
        assert part.dtype == torch.float32
    assert all(torch.equal(v, rounded[k]) for k, v in loaded.unet.state_dict().items())
    assert loaded.vae.config.scaling_factor == 0.7
    assert loaded.scheduler.config.prediction_type == "v_prediction"
    loaded.set_progress_bar_config(disable=True)
    drawn = loaded(
        ["a photo of the digit three, quiet harbour", ""],
        num_inference_steps=2,
        generator=torch.Generator().manual_seed(0),
        output_type="pt",
    ).images
    assert drawn.shape == (2, 3, 32, 32)
    assert drawn.isfinite().all()


def test_weights_are_float16_in_safetensors_alone(saved):
    folder, _ = saved
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".json", ".safetensors"}
    for path in files:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                assert {file.get_tensor(key).dtype for key in file.keys()} == {torch.float16}  # noqa: SIM118
    card = read_card(folder)
    assert set(card["sha256"]) == {p.relative_to(folder).as_posix() for p in files} - {"card.json"}
    assert card["bytes"] == sum(p.stat().st_size for p in files if p.suffix == ".safetensors")
    assert card["name"] == "tiny"


def test_no_configuration_tells_where_the_autoencoder_lay(parts, tmp_path):
    network, autoencoder = parts
    save_autoencoder(tmp_path / "autoencoder", autoencoder, {"name": "tiny"})
    made = pipeline(network, load_autoencoder(tmp_path / "autoencoder"), "v")
    assert str(tmp_path) in str(dict(made.vae.config))
    save_pipeline(tmp_path / "model", made, {"name": "tiny"})
    told = [path.read_text() for path in (tmp_path / "model").rglob("*.json")]
    assert told
    assert not any(str(tmp_path) in text for text in told)


def test_the_shipped_sizes_stay_small(tiny_autoencoder):
    network = TextToImage(TextToImageConfig())
    weights = sum(p.numel() for p in network.parameters())
    assert 2 * weights < 5_000_000  # bytes in float16; two such, and two autoencoders, in 30 MB


def test_the_text_encoder_reads_what_the_training_read(saved, parts):
    """The pipeline's own encoding of a caption is the state the U-Net was trained on."""
    loaded = load_pipeline(saved[0])
    text = "a photo of the digit three, quiet harbour"
    embedded, _ = loaded.encode_prompt(text, "cpu", 1, False)
    tokens = loaded.tokenizer(text, padding="max_length", return_tensors="pt").input_ids
    trained_on = parts[0].float().text_encoder(tokens).last_hidden_state
    assert torch.allclose(embedded, trained_on, atol=1e-5)


def test_the_scheduler_is_stable_diffusions():
    ours = VariancePreserving.scaled_linear()
    for prediction, name in (("epsilon", "epsilon"), ("v", "v_prediction")):
        found = scheduler(prediction)
        assert found.config.prediction_type == name
        assert torch.allclose(found.alphas_cumprod.double(), ours.alpha_squared, rtol=1e-4)
    with pytest.raises(ValueError, match=r"prediction must be one of .*got 'flow'"):
        scheduler("flow")


def test_an_autoencoder_comes_back(parts, tmp_path):
    autoencoder = parts[1]
    expected = {k: v.half().float() for k, v in autoencoder.state_dict().items()}
    save_autoencoder(tmp_path, autoencoder, {})
    loaded = load_autoencoder(tmp_path)
    assert all(torch.equal(v, expected[k]) for k, v in loaded.state_dict().items())
    assert loaded.config.scaling_factor == 0.7
    assert not loaded.training


def test_changed_missing_and_incomplete_folders_are_refused(parts, tmp_path):
    save_autoencoder(tmp_path, parts[1], {})
    weights = tmp_path / "diffusion_pytorch_model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + b"?")
    with pytest.raises(DataError, match=r"diffusion_pytorch_model.*expected sha256 [0-9a-f]{64}; restore it"):
        load_autoencoder(tmp_path)
    weights.unlink()
    with pytest.raises(DataError, match="no such file, expected"):
        load_autoencoder(tmp_path)
    (tmp_path / "card.json").unlink()
    with pytest.raises(DataError, match=r"card\.json is missing"):
        load_autoencoder(tmp_path)


def test_a_write_that_breaks_off_leaves_the_old_folder(tmp_path):
    def save(text):
        return lambda target: (target / "part.json").write_text(text)

    def broken(target):
        (target / "part.json").write_text("half a fi")
        raise KeyboardInterrupt

    save_whole(tmp_path, save("old"), {})
    with pytest.raises(KeyboardInterrupt):
        save_whole(tmp_path, broken, {})
    assert (tmp_path / "part.json").read_text() == "old"
    read_card(tmp_path)
    with pytest.raises(ValueError, match="JSON compliant"):
        save_whole(tmp_path, save("new"), {"loss": float("nan")})
    assert (tmp_path / "part.json").read_text() == "old"
    save_whole(tmp_path, save("new"), {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["card.json", "part.json"]
    assert json.loads((tmp_path / "card.json").read_text())["bytes"] == 0
