"""CLIP and DINOv2, which judge images that were made by Stable Diffusion; weights from safetensors alone."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from jaxtyping import Float, Float32
from torch import Tensor

from companion.comparison.training_images import pillow
from memlib.text_to_image.libraries import libraries
from memlib.text_to_image.loading import network
from memlib.text_to_image.source import ModelError, find, read_json

if TYPE_CHECKING:
    from PIL.Image import Image

CLIP = "laion/CLIP-ViT-H-14-laion2B-s32B-b79K"
"""The CLIP of the paper's evaluation."""
DINO = "facebook/dinov2-base"
PINNED = {CLIP: "1c2b8495b28150b8a4922ee1c8edee224c284c0c", DINO: "f9e44c814b77203eaa57a6bdbbd535f21ede1415"}
"""Id on the hub -> the commit that is read unless another is asked for."""
WANTED = (
    "config.json",
    "preprocessor_config.json",
    "model.safetensors",
    "model-*.safetensors",
    "model.safetensors.index.json",
    "merges.txt",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
)
"""All that is fetched of a repository on the hub."""


class Encoder:
    """A network that turns images into vectors of length one.

    Attributes:
        source: where it came from.
        network: a model of the transformers library, in float32.
        processor: resizes, crops and scales images as the network's own configuration asks.
    """

    published: ClassVar[str]
    model_type: ClassVar[str]
    kind: ClassVar[str]
    processors: ClassVar[tuple[str, ...]]
    rows: ClassVar[int] = 32  # images per pass

    def __init__(self, source: str, network: Any, processor: Any) -> None:
        self.source, self.network, self.processor = source, network, processor

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.source!r})"

    @classmethod
    def load(
        cls,
        source: str | os.PathLike[str] | None = None,
        *,
        device: str | torch.device = "cpu",
        revision: str | None = None,
    ) -> Self:
        """Read a folder as transformers' `save_pretrained` writes it, or a model of the hub by its id.

        Weights are read from safetensors alone, and no code of the folder runs.

        Args:
            source: folder or id; None takes the published network that the class is named for.
            device: where the network runs.
            revision: commit, tag or branch on the hub; None takes that of `PINNED`, for others the newest.

        Raises:
            ImportError: transformers or pillow is not installed.
            ModelError: a part is missing or of another kind, or weights come only as pickles.
        """
        _, transformers = libraries()
        pillow()
        name = cls.published if source is None else source
        folder = find(name, revision or PINNED.get(str(name)), WANTED)
        _check(folder, cls.kind, cls.model_type)
        model = network(folder, getattr(transformers, cls.kind), torch.float32).to(device)
        # The same pixels whether torchvision is installed or not.
        kind = next(getattr(transformers, each) for each in cls.processors if hasattr(transformers, each))
        found = cls(str(name), model, kind.from_pretrained(folder, local_files_only=True))
        found._complete(folder, transformers)
        return found

    @torch.no_grad()
    def images(self, pictures: Iterable[Image]) -> Float32[Tensor, "N D"]:
        """Vectors of images, on the CPU; that of one does not depend on the others.

        Raises:
            ValueError: no image.
        """
        parts = [
            self._see(self.processor(images=some, return_tensors="pt")["pixel_values"].to(self.device))
            for some in _batches(pictures, self.rows)
        ]
        if not parts:
            raise ValueError("got no image, expected one or more")
        return _unit(torch.cat(parts))

    @property
    def device(self) -> torch.device:
        """Where the network runs."""
        device: torch.device = self.network.device
        return device

    def _complete(self, folder: Path, transformers: Any) -> None:
        """Read what else the folder holds."""

    def _see(self, pixels: Tensor) -> Tensor:
        raise NotImplementedError


class Clip(Encoder):
    """CLIP (Radford et al. 2021), whose vectors of images and of captions can be compared."""

    published = CLIP
    model_type = "clip"
    kind = "CLIPModel"
    processors = ("CLIPImageProcessorPil", "CLIPImageProcessor")
    tokenizer: Any

    @torch.no_grad()
    def texts(self, captions: Sequence[str]) -> Float32[Tensor, "P D"]:
        """Vectors of captions, on the CPU; what exceeds the tokenizer's limit is cut, as open_clip does."""
        parts = []
        for some in _batches(captions, self.rows):
            given = self.tokenizer(some, padding=True, truncation=True, return_tensors="pt").to(self.device)
            pooled = self.network.text_model(given.input_ids, given.attention_mask).pooler_output
            parts.append(self.network.text_projection(pooled))
        return _unit(torch.cat(parts))

    def _complete(self, folder: Path, transformers: Any) -> None:
        if not (folder / "tokenizer.json").is_file() and not (folder / "vocab.json").is_file():
            raise ModelError(
                f"{folder} holds no tokenizer: vocab.json with merges.txt, or tokenizer.json, expected"
            )
        self.tokenizer = transformers.CLIPTokenizer.from_pretrained(folder, local_files_only=True)

    def _see(self, pixels: Tensor) -> Tensor:
        found: Tensor = self.network.visual_projection(self.network.vision_model(pixels).pooler_output)
        return found


class Dino(Encoder):
    """DINOv2 (Oquab et al. 2024); the vector of an image is that of its class token after the last norm."""

    published = DINO
    model_type = "dinov2"
    kind = "Dinov2Model"
    processors = ("BitImageProcessorPil", "BitImageProcessor")

    def _see(self, pixels: Tensor) -> Tensor:
        found: Tensor = self.network(pixels).pooler_output
        return found


def as_pictures(images: Float[Tensor, "N 3 H W"]) -> list[Image]:
    """Images in [0, 1] with 8 bits a colour, as they would be saved."""
    pixels = (images * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    image = pillow()
    return [image.fromarray(some) for some in pixels]


def _check(folder: Path, kind: str, model_type: str) -> None:
    for name in ("config.json", "preprocessor_config.json"):
        if not (folder / name).is_file():
            raise ModelError(
                f"{folder / name} is missing; expected what save_pretrained of {kind} and of its image "
                "processor write"
            )
    if (found := read_json(folder / "config.json").get("model_type")) != model_type:
        raise ModelError(f"{folder} holds a model of type {found!r}, expected {model_type!r}")


def _batches(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some


def _unit(vectors: Tensor) -> Tensor:
    return torch.nn.functional.normalize(vectors.float().cpu(), dim=1)
