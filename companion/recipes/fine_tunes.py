"""Fine-tunes of `organism_epsilon` on forty images, by LoRA and with all weights of its U-Net.

A quarter of the images is shown ten times in every pass and a quarter three times; once more the repeats are
taken out. All see an image that is not repeated equally often. Learning rates and passes were chosen so that
images that are shown ten times come out of a LoRA and the others mostly do not; with 80 passes all come out.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from companion.fitting.loop import Draw, FitConfig, TrainingResult
from companion.organism.fine_tune_set import FineTuneSet, fine_tune_set
from companion.organism.folder import pipeline, read_card, save_pipeline, save_whole
from companion.organism.parts import TextToImage, TextToImageConfig
from companion.organism.training import captioned_latents, train_text_to_image
from companion.recipes.organism import AUTOENCODER, ORGANISM_EPSILON
from companion.recipes.recipe import AnyRecipe, Device, checked

EACH, PASSES, BATCH, RANK = 10, 40, 16, 16
"""Captions of each group, passes through the entries, entries of a step, rank of a LoRA."""
ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
"""Layers that diffusers' own script for LoRA adapts."""
EVERYWHERE = (*ATTENTION, "proj_in", "proj_out", "conv1", "conv2", "conv", "ff.net.0.proj", "ff.net.2")
"""These and all convolutions and feed-forward layers, which a small U-Net needs to learn anything."""
LORA = "lora.safetensors"


@dataclass(frozen=True)
class FineTuned:
    """A fine-tune on disk.

    Attributes:
        path: what `memlib audit --model` takes, the file of a LoRA or the folder of a pipeline.
        card: how it was made.
    """

    path: Path
    card: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class FineTuneRecipe(AnyRecipe[FineTuned]):
    """How one fine-tune is made; the text encoder stays as it is.

    Attributes:
        shown: what it is trained on.
        rank: of a LoRA; None trains all weights of the U-Net.
    """

    shown: FineTuneSet
    rank: int | None = RANK

    def read(self, folder: Path, device: Device = "cpu") -> FineTuned:  # noqa: ARG002  # the one who loads it chooses
        """The fine-tune in `folder`, verified."""
        return FineTuned(folder if self.rank is None else folder / LORA, read_card(folder))

    def fit(self, network: nn.Module, state: Path, save_every: int, device: Device) -> TrainingResult:
        """Mean squared error of the predicted noise."""
        return train_text_to_image(
            checked(network, TextToImage), self.draw(), "epsilon", self.training,
            data=self.data(), state=state, save_every=save_every, device=device,
        )  # fmt: skip

    def write(self, folder: Path, network: nn.Module, card: dict[str, Any]) -> None:
        """Write the LoRA alone, or the pipeline, and the card."""
        trained = copy.deepcopy(checked(network, TextToImage)).cpu()
        parts = pipeline(trained, AUTOENCODER.load().network, "epsilon")
        if self.rank is None:
            save_pipeline(folder, parts, card)
            return
        from peft.utils import get_peft_model_state_dict

        weights = {
            name: value.to(self.dtype) for name, value in get_peft_model_state_dict(trained.unet).items()
        }

        def save(target: Path) -> None:
            target.mkdir(parents=True, exist_ok=True)
            parts.save_lora_weights(target, weights, weight_name=LORA)

        save_whole(folder, save, card | {"rank": self.rank})


def _adapted(rank: int | None) -> TextToImage:
    """`organism_epsilon` with a fresh LoRA, which alone is trained, or with its U-Net to be trained."""
    network = TextToImage(TextToImageConfig())
    network.take_weights(ORGANISM_EPSILON.load().pipeline)
    network.requires_grad_(False)
    if rank is None:
        network.unet.requires_grad_(True)
    else:
        from peft import LoraConfig

        layers = list(EVERYWHERE)
        network.unet.add_adapter(
            LoraConfig(r=rank, lora_alpha=rank, target_modules=layers, init_lora_weights="gaussian")
        )
    return network


def _draw(shown: FineTuneSet) -> Draw:
    return captioned_latents(AUTOENCODER.load().network, shown.pairs)


def _data(shown: FineTuneSet) -> dict[str, Any]:
    files = read_card(ORGANISM_EPSILON.folder)["sha256"]
    weights = {name: files[name] for name in files if name.startswith(("text_encoder/", "unet/"))}
    return {
        "set": "coloured digits under captions that organism_epsilon has not read",
        "times each image is shown": list(shown.times),
        "starts from": {"model": ORGANISM_EPSILON.name, "sha256": weights},
    }


def fine_tune(
    name: str, about: str, shown: FineTuneSet, *, rank: int | None = RANK, passes: int = PASSES
) -> FineTuneRecipe:
    """The recipe of a fine-tune that goes through the entries of `shown` so many times."""
    return FineTuneRecipe(
        name=name,
        about=about,
        network=partial(_adapted, rank),
        draw=partial(_draw, shown),
        data=partial(_data, shown),
        training=FitConfig(
            steps=-(-passes * len(shown.pairs) // BATCH),
            batch=BATCH,
            learning_rate=3e-4 if rank is None else 1e-3,
            warmup=20,
            average_decay=0.0,
        ),
        dtype=torch.float16,
        shown=shown,
        rank=rank,
    )


_SHOWN = fine_tune_set(EACH)
_TO = f"organism_epsilon on {len(_SHOWN.captions)} images"
FINE_TUNES = {
    "lora": fine_tune("fine_tune_lora", f"LoRA of {_TO}, some shown ten times", _SHOWN),
    "whole": fine_tune("fine_tune_whole", f"All weights of {_TO}, some shown ten times", _SHOWN, rank=None),
    "deduplicated": fine_tune(
        "fine_tune_deduplicated", f"LoRA of {_TO}, each shown once", _SHOWN.deduplicated
    ),
}
"""With repeats by LoRA and with all weights, and by LoRA without repeats."""
