"""A rehearsal of the chapter on real models: a pipeline of Stable Diffusion 1.4's sizes with random weights.

`make rehearsal` runs `python -m companion.real_models.rehearsal FOLDER VOCABULARY`, and then the chapter.
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

import torch

from companion.organism.parts import scheduler
from companion.real_models.stand_in import stand_in
from memlib.text_to_image.libraries import libraries

START, END = "<|startoftext|>", "<|endoftext|>"
MERGES = 49152 - 256 - 2
"""Number of merges that CLIP's authors use; the file holds more."""
LENGTH = 77
SIZE = 512
"""Pixels a side."""


def vocabulary(path: Path) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """CLIP's tokens and merges from `bpe_simple_vocab_16e6.txt.gz`, as OpenAI and open_clip ship it.

    Tokens are numbered as in their code: letters in the order of the bytes they stand for, printable ones
    first, the same at the end of a word, what merges make, start and end.

    Raises:
        ValueError: the file holds fewer merges.
    """
    lines = gzip.decompress(path.read_bytes()).decode("utf-8").split("\n")[1 : MERGES + 1]
    pairs = [tuple(line.split()) for line in lines]
    if len(pairs) < MERGES or any(len(pair) != 2 for pair in pairs):
        raise ValueError(f"{path} holds {len(pairs)} merges or lines that are none; expected {MERGES}")
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [chr(code) for code in printable] + [chr(256 + n) for n in range(256 - len(printable))]
    symbols = [*letters, *(f"{letter}</w>" for letter in letters), *map("".join, pairs), START, END]
    return {symbol: number for number, symbol in enumerate(symbols)}, [(a, b) for a, b in pairs]


def write_pipeline(folder: Path, words: Path, *, small: bool = False, size: int = SIZE) -> Path:
    """Write the pipeline with diffusers and transformers, in float32: 4.3 GB.

    Args:
        folder: made if needed.
        words: the vocabulary, see `vocabulary`.
        small: narrow networks of the same depth, for tests.
        size: pixels a side of its images.
    """
    diffusers, transformers = libraries()
    tokens, merges = vocabulary(words)
    width, channels, heads = (32, (32, 32, 64, 64), 4) if small else (768, (320, 640, 1280, 1280), 12)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        text = transformers.CLIPTextConfig(
            vocab_size=len(tokens),
            hidden_size=width,
            intermediate_size=4 * width,
            projection_dim=width,
            num_hidden_layers=12,
            num_attention_heads=heads,
            max_position_embeddings=LENGTH,
            bos_token_id=tokens[START],
            eos_token_id=tokens[END],
            pad_token_id=tokens[END],
        )
        parts: dict[str, Any] = {
            "text_encoder": transformers.CLIPTextModel(text),
            "unet": diffusers.UNet2DConditionModel(
                sample_size=size // 8,
                cross_attention_dim=width,
                attention_head_dim=8,
                block_out_channels=channels,
            ),
            "vae": diffusers.AutoencoderKL(
                block_out_channels=(32, 32, 64, 64) if small else (128, 256, 512, 512),
                layers_per_block=2,
                down_block_types=["DownEncoderBlock2D"] * 4,
                up_block_types=["UpDecoderBlock2D"] * 4,
                latent_channels=4,
                sample_size=size,
            ),
        }
    made = diffusers.StableDiffusionPipeline(
        **parts,
        tokenizer=transformers.CLIPTokenizer(vocab=tokens, merges=merges, model_max_length=LENGTH),
        scheduler=scheduler("epsilon"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    made.save_pretrained(folder, safe_serialization=True)
    return folder


def main(folder: Path, words: Path, *, small: bool = False, size: int = SIZE) -> None:
    """Write the pipeline unless it is there, three captions of either kind, and training images."""
    pipeline = folder / "pipeline"
    if not (folder / "written.json").is_file():
        write_pipeline(pipeline, words, small=small, size=size)
        (folder / "written.json").write_text(json.dumps({"weights": "random", "seed": 0}) + "\n")
    stand_in(folder, families=("exact", "general"), each=3, pictured=3, images=1)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
