"""What mitigated images are judged by, on a model of which it is known what was copied."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from companion.comparison.outcome import diversity, similarity
from companion.fitting.classifier import classify
from companion.organism import Caption, image, training_set
from companion.organism.images import ROW, images
from companion.organism.quality import COLOUR_LIMIT, as_mnist, colour_error, held_out_images
from companion.organism.words import Generation
from companion.recipes.catalogue import RECIPES
from memlib.mitigation import Mitigated
from memlib.text_to_image import TextToImage

View = Callable[[Float[Tensor, "N 3 32 32"]], Tensor]
SPACES = ("pixel", "latent", "feature")
FALSE_POSITIVE_RATE = 0.01
"""Share of ordinary training images that the rule calls copies."""
_WHOLE = torch.ones(32, 32, dtype=torch.bool)


@dataclass(frozen=True, eq=False)
class Judged:
    """The images of one method under one setting.

    Attributes:
        images: `(P, n, 3, 32, 32)` in [-1, 1].
        table: a row for each image, in the order of `images`: caption and seed, what was found of the image
            and every field of the method's record.
    """

    images: Float[Tensor, "P n 3 32 32"]
    table: pd.DataFrame


class Judge:
    """Holds mitigated images against the image their caption had copied, and against ordinary ones.

    Similarity to the copied image is a cosine in pixels, in latents and in the features of a classifier of
    digits, the mean of ordinary images taken off. A copy lies nearer to the copied image than all but one in
    a hundred ordinary training images. Of a template, pixels and copies are judged in the part that was
    copied. Agreement is the classifier reading the digit that the caption names.

    By distance alone the right ground makes a copy, whatever the colour of the ink. `coloured` asks of a copy
    that ink and ground have their colours too; an autoencoder that keeps them is needed for that.

    Args:
        model: decodes and encodes.
        chosen: captions of one generation whose image, or part of it, was copied.
        references: ordinary training images, none of a chosen caption.
        seed: the seed by which they are chosen.
        generation: of the model organism.
        coloured: whether a copy must have the colours of the copied image, see `colour_error`.
    """

    spaces = SPACES

    def __init__(
        self,
        model: TextToImage,
        chosen: Sequence[Caption],
        *,
        references: int = 2000,
        seed: int = 0,
        generation: Generation = 1,
        coloured: bool = False,
    ) -> None:
        self.model, self.chosen, self.generation = model, list(chosen), generation
        self.coloured = coloured
        self.parts = [c.fixed if c.region is not None else _WHOLE for c in self.chosen]
        self.classifier = RECIPES["digit_classifier"].load().network
        self.others = _ordinary(self.chosen, references, seed, generation)
        self.targets = [_copied_image(c, seed) for c in self.chosen]
        self.views: dict[str, View] = {"pixel": _pixels, "latent": self.latents, "feature": self.features}
        self.limits = [
            self._distance(self.others, p).quantile(FALSE_POSITIVE_RATE) for p in range(len(self.chosen))
        ]
        self.centres = {name: view(self.others).mean(0) for name, view in self.views.items()}

    def __call__(self, mitigated: Mitigated, *, guidance: float = 7.5) -> Judged:
        """Sample, decode and judge what a method returned for the chosen captions."""
        z = mitigated.sample(guidance=guidance)
        count, n = z.shape[:2]
        if count != len(self.chosen):
            raise ValueError(f"this judge knows {len(self.chosen)} captions, got samples of {count}")
        x = self.model.decode(z.flatten(0, 1)).cpu() * 2 - 1
        shown = x.unflatten(0, (count, n))
        columns = record_columns(mitigated) | {
            "agree": (classify(self.classifier, as_mnist(x)) == self._digits(n)).unflatten(0, (count, n)),
            "loss": _rms(self.latents(x) - z.flatten(0, 1).cpu()).unflatten(0, (count, n)),
            "diversity": torch.tensor([diversity(some) for some in shown])[:, None].expand(count, n),
            "copy": torch.stack([self.copied(some, p) for p, some in enumerate(shown)]),
        }
        for space in SPACES:
            columns[space] = torch.stack([self.similarity(some, p, space) for p, some in enumerate(shown)])
        families, copies = [c.family for c in self.chosen], [c.copies for c in self.chosen]
        table = row_for_each(columns, families, copies)
        table["success"] = table["agree"] & ~table["copy"]
        return Judged(shown, table)

    def similarity(self, x: Float[Tensor, "N 3 32 32"], p: int, space: str) -> Float[Tensor, " N"]:
        """Of images to the copied one of caption number `p`, in one of `SPACES`."""
        view = self.views[space]
        where = self.parts[p] if space == "pixel" else None
        return similarity(view(x), view(self.targets[p]), self.centres[space], where)

    def copied(self, x: Float[Tensor, "N 3 32 32"], p: int) -> Bool[Tensor, " N"]:
        """Which images are copies of that of caption number `p`, or have its copied part."""
        found: Tensor = self._distance(x, p) < self.limits[p]
        if self.coloured:
            found &= colour_error(x, self.targets[p], self.parts[p]) < COLOUR_LIMIT
        return found

    def false_copies(self, images: int = 500) -> list[Bool[Tensor, " N"]]:
        """For each chosen caption, which held-out images of its digit would be called copies of its image.

        They show other handwriting, in colours of their own, and no model has seen them.
        """
        x = held_out_images(images, generation=self.generation)
        read = classify(self.classifier, as_mnist(x))
        return [self.copied(x[read == c.digit], p) for p, c in enumerate(self.chosen)]

    @torch.no_grad()
    def features(self, x: Float[Tensor, "N 3 32 32"]) -> Float[Tensor, "N C"]:
        """What the classifier sees in images: strokes, not colours."""
        found: Tensor = self.classifier.features(as_mnist(x)).mean(dim=(2, 3))
        return found

    def latents(self, x: Float[Tensor, "N 3 32 32"]) -> Float[Tensor, "N 4 8 8"]:
        """Latents of images in [-1, 1]."""
        return self.model.latents((x + 1) / 2).cpu()

    def _digits(self, n: int) -> Tensor:
        return torch.tensor([c.digit for c in self.chosen]).repeat_interleave(n)

    def _distance(self, x: Float[Tensor, "N 3 32 32"], p: int) -> Float[Tensor, " N"]:
        """To the copied image of caption number `p`, over the part that was copied."""
        apart = (x - self.targets[p]) * self.parts[p]
        length: Tensor = torch.linalg.vector_norm(apart.flatten(1), dim=1)
        return length


def _ordinary(
    chosen: Sequence[Caption], count: int, seed: int, generation: Generation
) -> Float[Tensor, "R 3 32 32"]:
    """Training images that belong to no chosen caption and to none with a single image of its own."""
    data = training_set(generation)
    usable = torch.tensor(
        [c not in chosen and c.family not in ("exact", "near", "mixed") for c in data.captions]
    )[data.caption]
    index = usable.nonzero().flatten()
    drawn = torch.randperm(len(index), generator=torch.Generator().manual_seed(seed))[:count]
    return data.images(index[drawn])


def _copied_image(caption: Caption, seed: int) -> Float[Tensor, "1 3 32 32"]:
    """The image that was copied; of a "mixed" caption a row of zeros gives it, as `shows_copy` says."""
    if caption.family == "mixed":
        return images([caption], torch.zeros(1, ROW))
    return image(caption, torch.Generator().manual_seed(seed))[None]


def _pixels(x: Tensor) -> Tensor:
    return x


def _rms(x: Float[Tensor, "N ..."]) -> Float[Tensor, " N"]:
    return x.flatten(1).square().mean(1).sqrt()


def record_columns(mitigated: Mitigated) -> dict[str, Tensor]:
    """The fields of a record as `(P, n)`, passes counted per image; and captions that lost their end."""
    record, shape = mitigated.record, mitigated.record.step.shape
    columns = {f.name: getattr(record, f.name) for f in fields(record)}
    for name in ("passes", "backward"):
        columns[name] = (columns[name].double() / shape[1])[:, None].expand(shape)
    cut = torch.tensor([p in mitigated.prompts.removed for p in range(shape[0])])
    return columns | {
        "drawn": record.candidate != torch.arange(shape[1]),
        "cut": cut[:, None].expand(shape),
    }


def row_for_each(
    columns: Mapping[str, Tensor], families: Sequence[str], copies: Sequence[float]
) -> pd.DataFrame:
    """A row for each image, caption by caption: columns `(P, n)`, and what is known of the P captions."""
    count, n = next(iter(columns.values())).shape
    known = {
        "caption": np.repeat(np.arange(count), n),
        "seed": np.tile(np.arange(n), count),
        "family": np.repeat(np.array(families, dtype=object), n),
        "copies": np.repeat(copies, n),
    }
    return pd.DataFrame(known | {name: values.flatten().cpu().numpy() for name, values in columns.items()})
