"""In what images are compared: small pixels, the latents of the model, the features of a vision model."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from memlib.audit.training_set import pixels
from memlib.files import sha256
from memlib.text_to_image import TextToImage
from memlib.text_to_image.libraries import libraries, quiet

Space = Callable[[Sequence[Image.Image]], Float[Tensor, "B d"]]
"""Images in RGB -> a point for each, float32, on the CPU."""
SIDE = 64
"""Pixels are compared at this height and width, or at the model's where that is smaller."""


class EncoderError(ValueError):
    """A folder holds no vision model that can be used."""


def of_pixels(side: int) -> Space:
    """Colours at a small size: finds copies that were not moved, turned or recoloured."""
    return lambda images: torch.stack([pixels(image, side, side) for image in images]).flatten(1)


def of_latents(model: TextToImage, height: int, width: int) -> Space:
    """The latents of a model's autoencoder, at the size of its images."""

    def points(images: Sequence[Image.Image]) -> Tensor:
        batch = torch.stack([pixels(image, height, width) for image in images])
        return model.latents(batch / 2 + 0.5).flatten(1).float().cpu()

    return points


def spaces(model: TextToImage, encoder: Encoder | None = None) -> dict[str, Space]:
    """All that apply, by name: pixels, latents where the model has an autoencoder, the encoder if given."""
    height, width = size(model)
    found = {"pixels": of_pixels(min(SIDE, height, width))}
    if model.vae is not None:
        found["latents"] = of_latents(model, height, width)
    return found if encoder is None else {**found, "encoder": encoder}


@torch.no_grad()
def size(model: TextToImage) -> tuple[int, int]:
    """Height and width of the images of a model."""
    height, width = model.decode(model.noise(1, torch.Generator().manual_seed(0))).shape[-2:]
    return height, width


class Encoder:
    """The features of a vision model in a folder, such as DINOv2, SigLIP, CLIP, ViT or ResNet.

    The pooled output where the weights have one, else the mean of the last layer over places. Images are
    cut to the model's size and normalized as its `preprocessor_config.json` says.

    Args:
        folder: as transformers saves it, weights as safetensors.
        device: where it runs.

    Raises:
        EncoderError: there is no such folder, its weights are pickles or incomplete, or it does not read
            images.
    """

    def __init__(self, folder: Path, device: str | torch.device = "cpu") -> None:
        _, transformers = libraries()
        if not folder.is_dir():
            raise EncoderError(
                f"there is no folder {folder}; expected a vision model as transformers saves it"
            )
        options: dict[str, Any] = {"local_files_only": True, "use_safetensors": True, "dtype": torch.float32}
        options["trust_remote_code"] = False  # unset, transformers asks whether to run the folder's code
        try:
            with quiet():
                model, told = transformers.AutoModel.from_pretrained(
                    folder, output_loading_info=True, **options
                )
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            raise EncoderError(
                f"{folder} cannot be read as a vision model of transformers, weights as safetensors: {error}"
            ) from error
        missing = sorted(key for key in told["missing_keys"] if not key.endswith("position_ids"))
        if lacking := [key for key in missing if "pooler" not in key]:
            raise EncoderError(f"the weights in {folder} lack {lacking[:2]}; fetch them anew")
        self._pooled = not missing
        part = getattr(model, "vision_model", model)  # the half of CLIP and its kind that reads images
        if getattr(part, "main_input_name", "") != "pixel_values":
            raise EncoderError(f"{folder} holds a {type(model).__name__}, expected a model that reads images")
        self.folder, self.device = folder, device
        self.network = part.eval().requires_grad_(False).to(device)
        self._side, self._mean, self._std = _preprocessing(folder, part.config)

    @property
    def identity(self) -> dict[str, str]:
        """Hashes of the files of weights."""
        return {path.name: sha256(path) for path in sorted(self.folder.glob("*.safetensors"))}

    @torch.no_grad()
    def __call__(self, images: Sequence[Image.Image]) -> Float[Tensor, "B d"]:
        """Features of unit length."""
        batch = torch.stack([pixels(image, self._side, self._side) for image in images]) / 2 + 0.5
        given = (batch - self._mean) / self._std
        found = self.network(pixel_values=given.to(self.device))
        pooled = getattr(found, "pooler_output", None) if self._pooled else None
        if pooled is None:
            last = found.last_hidden_state
            pooled = last.mean(1) if last.ndim == 3 else last.mean((2, 3))
        return torch.nn.functional.normalize(pooled.flatten(1).float(), dim=1).cpu()


def _preprocessing(folder: Path, config: Any) -> tuple[int, Tensor, Tensor]:
    """Side of the images, mean and standard deviation of their channels."""
    path = folder / "preprocessor_config.json"
    told: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    sides = told.get("crop_size") or told.get("size") or getattr(config, "image_size", None) or 224
    if isinstance(sides, Mapping):
        sides = sides.get("height") or sides.get("shortest_edge") or 224
    side = int(sides if isinstance(sides, int) else sides[0])
    mean, std = (
        torch.tensor(told.get(f"image_{name}") or [0.5] * 3).reshape(3, 1, 1) for name in ("mean", "std")
    )
    return side, mean, std
