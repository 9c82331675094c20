"""What mitigated images of Stable Diffusion are judged by: networks that see, and training images on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from companion.comparison.encoders import Clip, Dino, Encoder, as_pictures
from companion.comparison.judge import Judged, record_columns, row_for_each
from companion.comparison.outcome import diversity
from companion.comparison.small_encoders import DigitReader, Pixels
from companion.comparison.training_images import TrainingImages, pictures
from memlib.mitigation import Mitigated
from memlib.text_to_image import TextToImage

SPACES = ("dino", "clip")


class RealJudge:
    """Holds mitigated images against training images of their captions, for a model that others trained.

    As the paper's evaluation (its section 5), with one change. Agreement is the cosine of image and caption
    by CLIP. Similarity is the cosine of an image and a training image of its caption, the largest of several,
    by DINOv2 and by CLIP. The paper has it by SSCD (Pizzi et al. 2022), which its authors publish as pickles
    and TorchScript alone; nothing here reads either, because a pickle can run code. The code of Somepalli et
    al. (2023) searches for replicas by SSCD, DINO or CLIP, and DINOv2 (Oquab et al. 2024) followed on DINO.
    Values and thresholds are not those of SSCD; that both order images alike is not shown here.

    A copy is an image whose similarity by DINOv2 exceeds what training images of *other* captions have, but
    for a small rate of them. Likewise an image agrees if it does so more than those do, but for that rate.
    "success" is agreement without a copy. The rate is kept for the median caption, so that a few captions of
    one template, whose images are alike, do not move the threshold. If most captions are of templates, give
    `training_images` the words that they share; else hardly anything passes for a copy.

    Attributes:
        spaces: names of the columns of similarity.
        thresholds: "dino", "clip" and "agree" -> the value that an image must exceed.

    Args:
        model: decodes and encodes.
        images: P captions with their training images.
        clip: None reads the network of the paper's evaluation, 4 GB, onto the device of the model.
        dino: None likewise reads facebook/dinov2-base, 0.3 GB.
        thresholds: some of them, in place of calibrated ones.
        false_positive_rate: the rate of the calibrated thresholds; 1 % as for detection in the paper.
        families: the family of each caption, for the table.
        rows: images sampled at a time, at least those of one caption.
        side: the side length of the small images that are returned, in pixels.

    Raises:
        ValueError: a parameter out of its range, or no other captions to set a threshold by.
    """

    spaces = SPACES

    def __init__(
        self,
        model: TextToImage,
        images: TrainingImages,
        *,
        clip: Clip | DigitReader | None = None,
        dino: Dino | Pixels | None = None,
        thresholds: Mapping[str, float] | None = None,
        false_positive_rate: float = 0.01,
        families: Sequence[str] | None = None,
        rows: int = 64,
        side: int = 64,
    ) -> None:
        if not 0 < false_positive_rate < 1:
            raise ValueError(f"false_positive_rate must lie between 0 and 1, got {false_positive_rate}")
        if unknown := set(thresholds or {}) - {*SPACES, "agree"}:
            raise ValueError(f"there is no threshold {min(unknown)!r}, expected {[*SPACES, 'agree']}")
        self.families = list(families) if families is not None else ["untyped"] * len(images)
        if len(self.families) != len(images):
            raise ValueError(f"got {len(self.families)} families for {len(images)} captions")
        self.model, self.images, self.rows, self.side = model, images, rows, side
        self.clip = clip or Clip.load(device=model.device)
        self.dino = dino or Dino.load(device=model.device)
        self.encoders: dict[str, Encoder | DigitReader | Pixels] = {"dino": self.dino, "clip": self.clip}
        files = list(dict.fromkeys(path for some in images.files for path in some))
        place = {path: number for number, path in enumerate(files)}
        self.own: list[Int64[Tensor, " m"]] = [
            torch.tensor([place[f] for f in some]) for some in images.files
        ]
        self.known = {space: encoder.images(pictures(files)) for space, encoder in self.encoders.items()}
        self.texts = self.clip.texts(images.captions)
        self.rate, self.given = false_positive_rate, dict(thresholds or {})

    def __call__(self, mitigated: Mitigated, *, guidance: float = 7.5) -> Judged:
        """Sample, decode and judge what a method returned for the captions.

        Agreement is with the captions as they were, whatever the method made of them. The images returned are
        `(P, n, 3, side, side)` in [-1, 1], means over areas of those judged.
        """
        count = len(mitigated.noise)
        if count != len(self.images):
            raise ValueError(f"this judge knows {len(self.images)} captions, got noises for {count}")
        latents = mitigated.sample(guidance=guidance, rows=self.rows)
        shown, rows = zip(*(self._one(z, p) for p, z in enumerate(latents)), strict=True)
        columns = record_columns(mitigated) | {
            name: torch.stack([row[name] for row in rows]) for name in rows[0]
        }
        table = row_for_each(columns, self.families, [np.nan] * count)
        table["success"] = (table["agree"] > self.thresholds["agree"]) & ~table["copy"]
        return Judged(torch.stack(shown), table)

    def similarity(self, x: Float[Tensor, "N 3 H W"], p: int, space: str) -> Float64[Tensor, " N"]:
        """Of images in [-1, 1] to the nearest training image of caption number `p`, in one of `spaces`."""
        return self._nearest(self.encoders[space].images(as_pictures((x + 1) / 2)), p, space)

    def copied(self, x: Float[Tensor, "N 3 H W"], p: int) -> Bool[Tensor, " N"]:
        """Which images are copies of a training image of caption number `p`."""
        return self.similarity(x, p, "dino") > self.thresholds["dino"]

    def false_copies(self) -> list[Bool[Tensor, " M"]]:
        """For each caption, which training images of the others would be called copies of its own.

        The threshold, unless it was given, was set on the same images.
        """
        return [found > self.thresholds["dino"] for found in self._others(self._alike("dino"))]

    @cached_property
    def thresholds(self) -> dict[str, float]:
        """Those given; else medians over captions of a quantile over training images of the others."""
        ways = {space: self._alike(space) for space in SPACES} | {"agree": self._agreeing}
        return {
            name: self.given[name] if name in self.given else self._calibrated(name, way)
            for name, way in ways.items()
        }

    def _one(self, z: Float[Tensor, "n ..."], p: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Small images of one caption, and the columns that its images give."""
        x = self.model.decode(z)
        seen = {space: encoder.images(as_pictures(x)) for space, encoder in self.encoders.items()}
        columns = {space: self._nearest(seen[space], p, space) for space in SPACES}
        off = (self.model.latents(x) - z).float().flatten(1).cpu()
        apart = diversity(x.cpu() * 2 - 1) if len(x) > 1 else float("nan")
        small = torch.nn.functional.interpolate(x, (self.side, self.side), mode="area").cpu() * 2 - 1
        return small, columns | {
            "agree": seen["clip"].double() @ self.texts[p].double(),
            "loss": off.square().mean(1).sqrt(),
            "diversity": torch.full((len(x),), apart, dtype=torch.float64),
            "copy": columns["dino"] > self.thresholds["dino"],
        }

    def _nearest(self, vectors: Float[Tensor, "N D"], p: int, space: str) -> Float64[Tensor, " N"]:
        own = self.known[space][self.own[p]]
        largest: Tensor = (vectors.double() @ own.double().T).amax(1)
        return largest

    def _alike(self, space: str) -> Callable[[int], Tensor]:
        return lambda p: self._nearest(self.known[space], p, space)

    def _agreeing(self, p: int) -> Tensor:
        return self.known["clip"].double() @ self.texts[p].double()

    def _others(self, way: Callable[[int], Tensor]) -> list[Tensor]:
        """For each caption, what `way` finds of the training images that are none of its own."""
        number = torch.arange(len(self.known["clip"]))
        return [way(p)[~torch.isin(number, own)] for p, own in enumerate(self.own)]

    def _calibrated(self, name: str, way: Callable[[int], Tensor]) -> float:
        found = [values.numpy() for values in self._others(way) if len(values)]
        if not found:
            raise ValueError(
                f"the threshold {name!r} is set by training images of other captions, and there are none; "
                f"give more captions, or thresholds={{{name!r}: ...}}"
            )
        return float(np.median([np.quantile(some, 1 - self.rate, method="higher") for some in found]))
