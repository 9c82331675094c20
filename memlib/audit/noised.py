"""Images without prompts: how well a model knows them, told by noising them and looking at its score there.

What a model has learned by heart it finds again in noise, and its density is sharp there. But the norms of
scores and Hessians also grow with the roughness of an image, so that images are compared with held-out ones
after what their complexity explains is taken off.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image, ImageOps
from pyarrow import parquet
from torch import Tensor
from tqdm import tqdm

from memlib import __version__
from memlib.audit import significance, spaces
from memlib.audit.against_base import check_comparable
from memlib.audit.training_set import opened, pixels
from memlib.hessian import JacobianOperator, Product
from memlib.screening import batches
from memlib.screening.partial_table import PartialTable
from memlib.sharpness import norms
from memlib.text_to_image import TextToImage

STATISTICS = {
    "error": "norm of the noise that the model does not recognize in a noised image; small for what it knows",
    "norm": "norm of its score at the noised image, in units of the noise prediction",
    "curvature": "norm of the product of the Hessian of its log density with its score, times sigma cubed",
    "ahead": "by how much the error of the base is larger",
}
"""Column -> what it is. "error" ranks, the smallest first; "ahead" needs a base."""
NOISE_TO_SIGNAL = 0.5


@dataclass(frozen=True, eq=False)
class NoisedImages:
    """The statistics of `STATISTICS` of images, each a mean over noises that they share, without a prompt.

    Attributes:
        model: the model.
        base: what it began from, or None.
        noise: `(n, ...)` standard normal latents.
        t: time index at which images are noised.
        product: how products with the Jacobian are computed.
    """

    model: TextToImage
    base: TextToImage | None
    noise: Float[Tensor, "n ..."]
    t: float
    product: Product = "difference"

    @property
    def statistics(self) -> list[str]:
        """The columns that this gives."""
        return [name for name in STATISTICS if name != "ahead" or self.base is not None]

    def __call__(self, latents: Float[Tensor, "B ..."]) -> dict[str, Tensor]:
        """Values of every statistic, `(B,)` float64, of B images."""
        level, n = self.model.level(self.t), len(self.noise)
        sigma = level["sigma"]
        x = (level["alpha"] * latents[:, None] + sigma * self.noise).flatten(0, 1)
        true = self.noise.repeat(len(latents), *[1] * (self.noise.ndim - 1)).double()
        with JacobianOperator(self.model.score(self.t), x, product=self.product, check=False) as op:
            s = op.value.reshape(x.shape).detach().double()
            product = norms.of_product(op.matvec(op.value)).detach()
        found = {
            "error": norms.of_score(-sigma * s - true),
            "norm": sigma * norms.of_score(s),
            "curvature": sigma**3 * product,
        }
        if self.base is not None:
            with torch.no_grad():
                theirs = self.base.score(self.t)(x).double()
            found["ahead"] = norms.of_score(-sigma * theirs - true) - found["error"]
        return {name: values.reshape(-1, n).mean(1).double().cpu() for name, values in found.items()}


def level_time(model: TextToImage, steps: int = 50) -> float:
    """The time of sampling at which the noise is nearest to half of the signal: a copy still shows."""

    def away(t: float) -> float:
        level = model.level(t)
        return abs(level["sigma"] - NOISE_TO_SIGNAL * level["alpha"])

    return min(model.timesteps(steps), key=away)


def complexity(image: Image.Image, height: int, width: int) -> float:
    """Bits a pixel of an image as PNG, at the size at which the model sees it."""
    file = io.BytesIO()
    ImageOps.fit(image, (width, height), Image.Resampling.BICUBIC).save(file, "png", optimize=True)
    return 8 * len(file.getvalue()) / (height * width)


def screen(
    task: NoisedImages,
    files: Sequence[Path],
    out: Path,
    settings: Mapping[str, Any],
    *,
    rows: int | None = None,
    restart: bool = False,
    progress: bool = False,
) -> pa.Table:
    """A row for each image: file, complexity, statistics. A call that was stopped is resumed by the same one.

    Args:
        task: what is computed.
        files: images.
        out: the table, parquet.
        settings: what else it depends on, as JSON.
        rows: images times noises at a time; None finds out what fits.
        restart: discard what is there.
        progress: show a progress bar.

    Raises:
        ValueError: a base of other latents or noise levels, or what `PartialTable.open` refuses.
        TrainingSetError: naming an image that cannot be read.
    """
    if task.base is not None:
        check_comparable(task.model, task.base, task.t)
    height, width = spaces.size(task.model)
    names = ["complexity", *task.statistics]
    schema = pa.schema([("file", pa.string()), *((name, pa.float64()) for name in names)])
    read = hashlib.sha256(b"".join(hashlib.sha256(path.read_bytes()).digest() for path in files))
    known = {"images": read.hexdigest(), "t": task.t, "memlib": __version__, **settings}
    with PartialTable(out, known, len(files), 1).open(restart=restart) as table:
        bar = tqdm(total=len(files), initial=table.done, desc="images", disable=not progress)

        def work(start: int, stop: int) -> None:
            images = [opened(path) for path in files[start:stop]]
            batch = torch.stack([pixels(image, height, width) for image in images]) / 2 + 0.5
            found: dict[str, Any] = {"file": [str(path) for path in files[start:stop]]}
            found["complexity"] = [complexity(image, height, width) for image in images]
            found |= {name: values.numpy() for name, values in task(task.model.latents(batch)).items()}
            table.append(start, stop, pa.table(found, schema))
            bar.update(stop - start)

        if not table.finished:
            chosen = rows or table.noted("rows") or batches.starting_rows(task.model)
            table.note("rows", chosen)
            together = max(1, chosen // len(task.noise))
            try:
                batches.halving(work, table.done, len(files), together, lambda _: None)
            except KeyboardInterrupt:
                raise KeyboardInterrupt(
                    f"{table.done} of {len(files)} images are finished and kept; call again to go on there"
                ) from None
            table.join(schema)
    return parquet.read_table(out)


def p_values(
    errors: NDArray[np.float64],
    held_out: NDArray[np.float64],
    complexities: NDArray[np.float64],
    of_held_out: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The share of held-out images that the model knows at least as well for their complexity, and the image.

    The logarithm of the error is held against a line in that of the complexity, fitted to the held-out
    images; each of these against the line that is fitted without it, so that all stand alike. The p-values
    are those of `significance.conformal`, near enough with a dozen held-out images or more (the jackknife).

    Args:
        errors: `(m,)` of the images in question, positive.
        held_out: `(n,)` of images that the model has not seen.
        complexities: `(m,)` of the images in question, positive.
        of_held_out: `(n,)`.

    Returns:
        `(m,)`; 1 where no held-out image is as simple, or as complex: nothing speaks against such an image.
    """
    x, y = np.log(of_held_out), np.log(held_out)
    design = np.stack([np.ones_like(x), x], axis=1)
    inverse = np.linalg.pinv(design)
    line, leverage = inverse @ y, (design * inverse.T).sum(1)
    left_out = (y - design @ line) / np.maximum(1 - leverage, 1e-9)
    mine = np.log(errors) - line[0] - line[1] * np.log(complexities)
    like = (complexities >= of_held_out.min()) & (complexities <= of_held_out.max())
    return np.where(like, significance.conformal(-mine, -left_out), 1.0)
