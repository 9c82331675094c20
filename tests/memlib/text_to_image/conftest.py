"""Tiny random pipelines, saved as diffusers saves them: one of each kind of prediction."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler, PNDMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from memlib.text_to_image import PredictionWarning, TextToImage

# Random networks do not predict what their configuration says: for tests that load one.
UNTRAINED = pytest.mark.filterwarnings("ignore::memlib.text_to_image.PredictionWarning")
# For tests whose captions are meant to be longer than the model reads.
CUT = pytest.mark.filterwarnings("ignore::memlib.text_to_image.TruncationWarning")
# For tests whose folders have entries that nobody knows, or not any more.
UNKNOWN = pytest.mark.filterwarnings("ignore:.* entries that the installed libraries do not know")

LIMIT = 12  # tokens
START, END = "<|startoftext|>", "<|endoftext|>"
# As the published models have them: PNDM without prediction_type for epsilon, DDIM for v-prediction.
NOISE = {"beta_start": 8.5e-4, "beta_end": 1.2e-2, "beta_schedule": "scaled_linear"}
SCHEDULERS = {
    "epsilon": lambda: PNDMScheduler(**NOISE, skip_prk_steps=True, steps_offset=1),
    "v": lambda: DDIMScheduler(
        **NOISE,
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type="v_prediction",
    ),
}


def write_tokenizer(folder: Path) -> int:
    """vocab.json and merges.txt in CLIP's format; the size of the vocabulary."""
    folder.mkdir(parents=True)
    letters = [chr(code) for code in range(33, 127)]
    words = [*letters, *(letter + "</w>" for letter in letters), "ca", "cat</w>", START, END]
    vocabulary = {word: index for index, word in enumerate(words)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\nc a\nca t</w>\n")
    tokens = {"bos_token": START, "eos_token": END, "pad_token": END, "unk_token": END}
    config = {"tokenizer_class": "CLIPTokenizer", "model_max_length": LIMIT, **tokens}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return len(vocabulary)


def autoencoder(channels=4, **more):
    return AutoencoderKL(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=channels,
        norm_num_groups=4,
        sample_size=8,
        **more,
    )


def clip(kind, words, width=16):
    config = CLIPTextConfig(
        vocab_size=words,
        hidden_size=width,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=LIMIT,
        projection_dim=width,
        bos_token_id=words - 2,
        eos_token_id=words - 1,
        pad_token_id=words - 1,
    )
    return kind(config)


def write_pipeline(folder: Path, kind: str) -> Path:
    """A pipeline of Stable Diffusion's parts with random weights."""
    words = write_tokenizer(folder / "tokenizer")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed({"epsilon": 0, "v": 1}[kind])
        parts = {
            "vae": autoencoder(),
            "unet": UNet2DConditionModel(
                sample_size=4,
                block_out_channels=(8, 16),
                layers_per_block=1,
                down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
                up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
                cross_attention_dim=16,
                attention_head_dim=2,
                norm_num_groups=4,
            ),
            "text_encoder": clip(CLIPTextModel, words),
            "scheduler": SCHEDULERS[kind](),
        }
    with torch.no_grad():  # at their initial scale the layers of text hardly move the output
        for name, weight in parts["unet"].named_parameters():
            if "attn2.to_" in name:
                weight.mul_(4)
    index = {
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": "0.35.0",
        "feature_extractor": [None, None],
        "safety_checker": [None, None],
        "requires_safety_checker": False,
        "tokenizer": ["transformers", "CLIPTokenizer"],
    }
    for name, part in parts.items():
        part.save_pretrained(folder / name)
        library = "transformers" if name == "text_encoder" else "diffusers"
        index[name] = [library, type(part).__name__]
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


@pytest.fixture(scope="session")
def folders(tmp_path_factory) -> dict[str, Path]:
    """Kind of prediction -> pipeline folder; leave them as they are."""
    home = tmp_path_factory.mktemp("pipelines")
    return {kind: write_pipeline(home / kind, kind) for kind in SCHEDULERS}


@pytest.fixture
def broken(folders, tmp_path) -> Path:
    """A copy of the epsilon pipeline, to be damaged."""
    return Path(shutil.copytree(folders["epsilon"], tmp_path / "pipeline"))


@pytest.fixture(scope="session")
def models(folders) -> dict[tuple[str, torch.dtype], TextToImage]:
    """(kind, dtype) -> model, for float64 and float32."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PredictionWarning)
        return {
            (kind, dtype): TextToImage.load(folder, dtype=dtype)
            for kind, folder in folders.items()
            for dtype in (torch.float64, torch.float32)
        }


@pytest.fixture(params=list(SCHEDULERS))
def kind(request) -> str:
    """A kind of prediction."""
    return request.param


@pytest.fixture
def exact(models, kind) -> TextToImage:
    """A model in float64."""
    return models[kind, torch.float64]


@pytest.fixture
def single(models, kind) -> TextToImage:
    """The same model in float32."""
    return models[kind, torch.float32]


@pytest.fixture
def generator() -> torch.Generator:
    """A seeded generator."""
    return torch.Generator().manual_seed(0)
