"""What a model folder must hold, and what each lack is called."""

import json
import logging
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import diffusers
import pytest
import torch
import transformers
from diffusers import UNet2DConditionModel
from huggingface_hub import errors as hub_errors
from safetensors.torch import load_file, save_file

from memlib.text_to_image import ModelError, TextToImage
from memlib.text_to_image.libraries import quiet

from .conftest import UNKNOWN, UNTRAINED

pytestmark = UNTRAINED

LOGGINGS = (diffusers.utils.logging, transformers.utils.logging)
SHIPPED = Path(__file__).parents[3] / "data" / "checkpoints"


def edit(path, **changes):
    """Change entries of a JSON file; None removes one."""
    found = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in found.items() if value is not None}))


def rename_scheduler(folder, name, **changes):
    """Another scheduler in a folder."""
    edit(folder / "model_index.json", scheduler=["diffusers", name])
    edit(folder / "scheduler" / "scheduler_config.json", _class_name=name, **changes)


def test_both_kinds_load_frozen_and_in_the_dtype_asked_for(single, kind):
    assert single.prediction == kind
    assert single.dtype == torch.float32
    assert single.sample_shape == (4, 4, 4)
    for part in (single.vae, single.unet, single.text_encoder):
        assert not part.training
        assert not any(weight.requires_grad for weight in part.parameters())
        assert {weight.dtype for weight in part.parameters()} == {torch.float32}


def test_half_precision(folders):
    model = TextToImage.load(folders["v"], dtype=torch.bfloat16)
    x = torch.zeros(1, 4, 4, 4, dtype=torch.bfloat16)
    assert model.score(500, model.encode(["a cat"]))(x).dtype == torch.bfloat16


def test_the_schedule_is_the_schedulers(exact):
    assert torch.equal(exact.schedule.alpha_squared, exact.scheduler.alphas_cumprod.double())
    assert exact.schedule.steps == 1000


@pytest.mark.parametrize("part", ["vae", "unet", "text_encoder"])
def test_a_missing_network(broken, part):
    for path in (broken / part).iterdir():
        path.unlink()
    (broken / part).rmdir()
    with pytest.raises(ModelError, match=rf"{part}/config.json is missing"):
        TextToImage.load(broken)


def test_a_missing_scheduler(broken):
    (broken / "scheduler" / "scheduler_config.json").unlink()
    with pytest.raises(ModelError, match=r"scheduler_config.json is missing"):
        TextToImage.load(broken)


def test_a_missing_tokenizer(broken):
    (broken / "tokenizer" / "vocab.json").unlink()
    with pytest.raises(ModelError, match="holds no tokenizer"):
        TextToImage.load(broken)


def test_missing_weights(broken):
    (broken / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(ModelError, match="no weights"):
        TextToImage.load(broken)


@pytest.mark.parametrize("part", ["vae", "unet", "text_encoder"])
def test_pickles_are_not_opened(broken, part):
    (weights,) = (broken / part).glob("*.safetensors")
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(ModelError, match=r"only pickles, \w+\.bin; .* can run code"):
        TextToImage.load(broken)


@pytest.mark.parametrize("shard", ["pytorch_model.bin", "../../elsewhere.safetensors", None])
def test_an_index_of_shards_leads_to_safetensors_beside_it_alone(broken, shard):
    (weights,) = (broken / "unet").glob("*.safetensors")
    index = weights.with_name(f"{weights.name}.index.json")
    names = dict.fromkeys(load_file(weights), weights.name)
    index.write_text(json.dumps({"metadata": {}, "weight_map": names}))
    TextToImage.load(broken)
    index.write_text(json.dumps({"weight_map": names | {"conv_in.bias": shard} if shard else shard}))
    with pytest.raises(ModelError, match=r"index\.json names .*expected files beside it, \.safetensors"):
        TextToImage.load(broken)


@pytest.mark.parametrize("part", ["vae", "unet", "text_encoder"])
def test_weights_that_lack_a_tensor_are_refused_not_drawn_at_random(broken, part):
    (path,) = (broken / part).glob("*.safetensors")
    weights = load_file(path)
    del weights[sorted(weights)[-1]]
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=rf"the weights in .*{part} lack"):
        TextToImage.load(broken)


@pytest.mark.parametrize("part", ["vae", "unet", "text_encoder"])
def test_a_cut_weights_file(broken, part):
    (path,) = (broken / part).glob("*.safetensors")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelError, match=rf"{part} cannot be loaded"):
        TextToImage.load(broken)


def test_another_pipeline(broken):
    edit(broken / "model_index.json", _class_name="StableDiffusionUpscalePipeline")
    with pytest.raises(
        ModelError, match=r"holds a StableDiffusionUpscalePipeline, expected one of StableDiff"
    ):
        TextToImage.load(broken)


def test_another_part_or_code_of_the_folders_own(broken):
    edit(broken / "model_index.json", unet=["my_unet", "MyUNet"])
    (broken / "my_unet.py").write_text("raise SystemExit('the folder ran code')")
    with pytest.raises(ModelError, match=r"unet of .* is \['my_unet', 'MyUNet'\]"):
        TextToImage.load(broken)


def test_a_unet_with_more_channels_than_latents(broken):
    edit(broken / "vae" / "config.json", latent_channels=4)
    edit(broken / "unet" / "config.json", in_channels=9)
    path = broken / "unet" / "diffusion_pytorch_model.safetensors"
    weights = load_file(path)
    weights["conv_in.weight"] = torch.zeros(8, 9, 3, 3)
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"takes 9 channels, the autoencoder has 4.*inpainting"):
        TextToImage.load(broken)


def test_an_unknown_prediction(broken):
    edit(broken / "scheduler" / "scheduler_config.json", prediction_type="velocity")
    with pytest.raises(ModelError, match=r"predicts 'velocity', expected one of"):
        TextToImage.load(broken)


@UNKNOWN
def test_a_scheduler_without_alphas(broken):
    rename_scheduler(broken, "EDMEulerScheduler")
    with pytest.raises(ModelError, match=r"EDMEulerScheduler .* has no alphas_cumprod"):
        TextToImage.load(broken)
    rename_scheduler(broken, "FlowMatchEulerDiscreteScheduler")
    with pytest.raises(ModelError, match=r"fails before its first step: .*no attribute"):
        TextToImage.load(broken)


def test_a_scheduler_of_nobodys(broken):
    edit(broken / "model_index.json", scheduler=["diffusers", "AutoencoderKL"])
    with pytest.raises(ModelError, match="scheduler AutoencoderKL, which is none"):
        TextToImage.load(broken)


@pytest.mark.parametrize(
    "name", ["DDIMScheduler", "DDPMScheduler", "EulerDiscreteScheduler", "DPMSolverMultistepScheduler"]
)
def test_zero_terminal_signal_whatever_scheduler_names_it(broken, name):
    trailing = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    rename_scheduler(broken, name, **trailing, prediction_type="v_prediction")
    model = TextToImage.load(broken)
    t, prompts = model.timesteps(4)[0], model.encode(["a cat", "tac"])
    assert (t, model.level(t)) == (999, {"alpha": 0.0, "sigma": 1.0})
    x = model.noise(2, torch.Generator().manual_seed(0))
    with torch.no_grad():
        v = model.predict(t, x, prompts.conditions) - model.predict(t, x, model.empty.repeated(2))
        torch.testing.assert_close(model.difference(t, prompts)(x), -v, rtol=0, atol=1e-5)
    assert v.norm() > 1e-2
    rename_scheduler(broken, name, **trailing, prediction_type="epsilon")
    with pytest.raises(ModelError, match=rf"predicts noise, and its {name} has zero terminal signal"):
        TextToImage.load(broken)


def test_a_file_that_is_no_json(broken):
    (broken / "model_index.json").write_text("{")
    with pytest.raises(ModelError, match=r"model_index.json cannot be read"):
        TextToImage.load(broken)


def test_an_empty_folder(tmp_path):
    with pytest.raises(ModelError, match=r"model_index.json is missing; .* save_pretrained"):
        TextToImage.load(tmp_path)


@pytest.mark.parametrize("source", ["no/such/folder", "./missing", "../up", "/missing"])
def test_a_folder_that_is_not_there(source):
    with pytest.raises(ModelError, match="there is no folder"):
        TextToImage.load(source)


def test_a_hub_model_is_fetched_without_pickles_at_the_revision_asked_for(folders, monkeypatch):
    asked = {}

    def snapshot(name, *, revision, allow_patterns, ignore_patterns):
        asked.update(name=name, revision=revision, allow=allow_patterns, ignore=ignore_patterns)
        return str(folders["epsilon"])

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    model = TextToImage.load("CompVis/stable-diffusion-v1-4", revision="133a221")
    assert model.source == "CompVis/stable-diffusion-v1-4"
    assert (asked["name"], asked["revision"]) == ("CompVis/stable-diffusion-v1-4", "133a221")
    from huggingface_hub.utils import filter_repo_objects

    published = [
        "README.md",
        "feature_extractor/preprocessor_config.json",
        "model_index.json",
        "safety_checker/model.safetensors",
        "scheduler/scheduler_config.json",
        "text_encoder/config.json",
        "text_encoder/model.fp16.safetensors",
        "text_encoder/model.safetensors",
        "text_encoder/pytorch_model.bin",
        "tokenizer/merges.txt",
        "tokenizer/vocab.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.bin",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "unet/diffusion_pytorch_model.non_ema.safetensors",
        "unet/diffusion_pytorch_model.safetensors",
        "vae/config.json",
        "vae/diffusion_pytorch_model.safetensors",
    ]
    fetched = filter_repo_objects(published, allow_patterns=asked["allow"], ignore_patterns=asked["ignore"])
    assert list(fetched) == [
        "model_index.json",
        "scheduler/scheduler_config.json",
        "text_encoder/config.json",
        "text_encoder/model.safetensors",
        "tokenizer/merges.txt",
        "tokenizer/vocab.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
        "vae/config.json",
        "vae/diffusion_pytorch_model.safetensors",
    ]


def refusal(name):
    """An error of the hub's client, without the answer of a server that it would be made from."""
    kind = getattr(hub_errors, name)
    return kind.__new__(kind, "from the hub")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (refusal("GatedRepoError"), "gated; accept its licence .* hf auth login"),
        (refusal("RepositoryNotFoundError"), "no such model, or a private one; check the name"),
        (refusal("RevisionNotFoundError"), "no revision 133a221; name a commit"),
        (refusal("LocalEntryNotFoundError"), "not reached, and no copy was kept .* check the connection"),
        (hub_errors.OfflineModeIsEnabled("offline"), r"not reached, .* \(offline\); check the connection"),
        (ConnectionError("no route"), r"not reached, .* \(no route\)"),
        (OSError("disk full"), "disk full"),
        (hub_errors.HFValidationError("a bad name"), "a bad name"),
    ],
)
def test_a_hub_that_does_not_give_the_model(error, said, monkeypatch):
    def snapshot(*args, **kwargs):
        raise error

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    with pytest.raises(ModelError, match=f"no local folder owner/model, .*: .*{said}"):
        TextToImage.load("owner/model", revision="133a221")


def test_a_hub_model_of_pickles_alone(broken, monkeypatch):
    (broken / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *args, **kwargs: str(broken))
    with pytest.raises(ModelError, match="unet holds no weights; weights are read from safetensors alone"):
        TextToImage.load("owner/model")


def test_old_names_in_the_autoencoder_as_in_the_published_files(broken, folders):
    """Stable Diffusion 1 and 2 name the autoencoder's attention as an early diffusers did."""
    path = broken / "vae" / "diffusion_pytorch_model.safetensors"
    names = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    weights = load_file(path)
    old = dict(weights)
    for new, name in names.items():
        old = {key.replace(f"attentions.0.{new}.", f"attentions.0.{name}."): old[key] for key in old}
    assert old.keys() != weights.keys()
    save_file(old, path, metadata={"format": "pt"})
    latents = torch.ones(1, 4, 4, 4)
    images = [TextToImage.load(folder).decode(latents) for folder in (broken, folders["epsilon"])]
    assert torch.equal(*images)


def test_without_the_extra_the_error_says_how_to_get_it(folders, monkeypatch):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(ImportError, match=r"diffusers is missing; in the clone .* -e '\.\[latent\]'"):
        TextToImage.load(folders["v"])


def test_entries_that_nobody_knows_are_reported(broken):
    edit(broken / "unet" / "config.json", colour_of_noise="pink")
    edit(broken / "text_encoder" / "config.json", taste=1)
    edit(broken / "scheduler" / "scheduler_config.json", beta_middle=0.1)
    edit(broken / "model_index.json", mood="good")
    with pytest.warns(UserWarning, match="do not know") as seen:
        TextToImage.load(broken)
    said = [str(warning.message) for warning in seen]
    for key in ("colour_of_noise", "taste", "beta_middle", "mood"):
        assert sum(f"do not know: {key};" in text for text in said) == 1


@pytest.mark.parametrize(
    ("key", "value"), [("thresholding", True), ("timestep_type", "continuous"), ("use_flow_sigmas", True)]
)
def test_entries_of_a_scheduler_that_change_what_is_computed_otherwise(broken, key, value):
    name = {"thresholding": "DDIMScheduler", "timestep_type": "EulerDiscreteScheduler"}.get(key)
    rename_scheduler(broken, name or "DPMSolverMultistepScheduler", **{key: value})
    with pytest.raises(ModelError, match=f"sets {key}={value} in scheduler/scheduler_config.json"):
        TextToImage.load(broken)


def test_a_model_distilled_for_an_embedded_guidance_scale(broken):
    unet = UNet2DConditionModel.from_config(
        UNet2DConditionModel.load_config(broken / "unet"), time_cond_proj_dim=8
    )
    unet.save_pretrained(broken / "unet")
    with pytest.raises(ModelError, match="time_cond_proj_dim=8: it was distilled"):
        TextToImage.load(broken)


@pytest.mark.parametrize("form", ["missing", "null"])
def test_latents_of_no_size(broken, form):
    path = broken / "unet" / "config.json"
    found = json.loads(path.read_text()) | {"sample_size": None}
    path.write_text(json.dumps({k: v for k, v in found.items() if form == "null" or k != "sample_size"}))
    with pytest.raises(ModelError, match="no sample_size, the height and width"):
        TextToImage.load(broken)


def test_weights_without_a_place(broken):
    path = broken / "unet" / "diffusion_pytorch_model.safetensors"
    weights = load_file(path)
    save_file(weights | {"mid_block.lora_A.weight": torch.ones(2)}, path, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"hold 1 tensors .*'mid_block.lora_A.weight'.*fuse the LoRA first"):
        TextToImage.load(broken)


def test_weights_of_a_variant(broken, folders):
    for part in ("unet", "vae", "text_encoder"):
        (path,) = (broken / part).glob("*.safetensors")
        path.rename(path.with_suffix(".fp16.safetensors"))
    with pytest.raises(ModelError, match=r'holds .*\.fp16\.safetensors .* variant="fp16" \(--variant fp16\)'):
        TextToImage.load(broken)
    with pytest.raises(ModelError, match="no weights of the variant 'bf16'"):
        TextToImage.load(broken, variant="bf16")
    with pytest.raises(ModelError, match=r"of the variant 'fp16'; load without a variant"):
        TextToImage.load(folders["epsilon"], variant="fp16")
    found, expected = TextToImage.load(broken, variant="fp16"), TextToImage.load(folders["epsilon"])
    x = expected.noise(1, torch.Generator().manual_seed(0))
    assert torch.equal(found.score(981)(x), expected.score(981)(x))


@pytest.mark.parametrize(("trained", "said"), [("v", "epsilon"), ("epsilon", "v_prediction")])
def test_a_prediction_that_the_configuration_does_not_say(trained, said, tmp_path):
    """The shipped models are trained, those of the other tests are not."""
    folder = shutil.copytree(SHIPPED / f"organism_{trained}", tmp_path / "model")
    edit(folder / "scheduler" / "scheduler_config.json", prediction_type=said)
    number = r"0\.[01]\d" if trained == "v" else r"0\.99"
    with pytest.warns(UserWarning, match=rf"its output correlates with its input at -?{number}"):
        TextToImage.load(folder)


def test_trained_models_are_not_warned_of():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ("organism_epsilon", "organism_v"):
            TextToImage.load(SHIPPED / name)


LOAD_AND_ENCODE = """
import sys
from memlib.text_to_image import TextToImage
model = TextToImage.load(sys.argv[1])
assert model.encode(["a " * 40]).removed
"""


def test_the_libraries_say_nothing_in_a_fresh_process(folders):
    """They would: of image processors, of bars, of captions that are cut. Each once in a process."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore::UserWarning", "-c", LOAD_AND_ENCODE, str(folders["epsilon"])],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_libraries_are_quiet_only_where_asked():
    def states():
        return [(one.get_verbosity(), one.is_progress_bar_enabled()) for one in LOGGINGS]

    def fail():
        with quiet():
            assert states() == [(logging.ERROR, False)] * 2
            raise RuntimeError("inside")

    before = states()
    with pytest.raises(RuntimeError, match="inside"):
        fail()
    assert states() == before != [(logging.ERROR, False)] * 2


def test_the_autoencoder_runs_in_single_precision_where_the_others_run_in_half(folders):
    model = TextToImage.load(folders["v"], dtype=torch.float16)
    assert model.dtype == model.text_encoder.dtype == torch.float16
    assert model.vae.dtype == torch.float32
    assert model.latents(model.decode(torch.zeros(1, 4, 4, 4, dtype=torch.float16))).dtype == torch.float16
    other = TextToImage.load(folders["v"], dtype=torch.float32, vae_dtype=torch.bfloat16)
    assert (other.dtype, other.vae.dtype) == (torch.float32, torch.bfloat16)


def test_an_autoencoder_that_overflows_is_an_error(folders):
    model = TextToImage.load(folders["v"], dtype=torch.float16, vae_dtype=torch.float16)
    with torch.no_grad():
        model.vae.decoder.conv_out.bias += 1e5
    with pytest.raises(FloatingPointError, match=r"NaN or infinity in torch.float16; .*--vae-dtype"):
        model.decode(torch.zeros(1, 4, 4, 4, dtype=torch.float16))


def test_a_text_encoder_that_overflows_is_an_error(folders):
    model = TextToImage.load(folders["v"])
    with torch.no_grad():
        next(p for n, p in model.text_encoder.named_parameters() if "final_layer_norm.weight" in n).fill_(
            torch.inf
        )
    with pytest.raises(FloatingPointError, match="text encoder gives NaN or infinity for 'a cat'"):
        model.encode(["a cat"])
