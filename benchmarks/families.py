"""One-step statistics of one prompt on every family of pipelines, in passes of its own network.

The pipelines are those of the tests, tiny and with random weights: what is seen is what the statistic does
beside its passes.
"""

from __future__ import annotations

import warnings
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from benchmarks.rows import Row
from benchmarks.setting import Bench
from benchmarks.text_to_image import Screening
from benchmarks.throughput import forward, statistic
from benchmarks.timing import Target, compare, in_turn
from memlib.text_to_image import TextToImage

NAME = "families"
FAMILIES = {
    "sdxl": "Stable Diffusion XL",
    "sd3": "Stable Diffusion 3",
    "pixart": "PixArt",
    "sana": "Sana",
    "dit": "DiT",
}


def run(bench: Bench) -> list[Row]:
    """Both products, each against a pass of the doubled batch."""
    rows = []
    for family, name in FAMILIES.items():
        some = _screening(family, bench.sizes.family_seeds, bench.device)
        ours = {product: partial(statistic, some, 1, product) for product in ("difference", "vjp")}
        bare = "a pass of the doubled batch"
        timed = in_turn(
            ours | {bare: partial(forward, some, 1)},
            rounds=2 * bench.rounds,
            device=bench.device,
            say=lambda what, name=name: bench.say(f"{name}: {what}"),
        )
        rows += [
            compare(
                timed[product],
                timed[bare],
                reads="times the time of",
                target=Target("at most", 2.1) if product == "difference" else None,
                benchmark=NAME,
                what=f"one step, {name}, {product}",
                instead_of=bare,
                setting=f"one prompt, {bench.sizes.family_seeds} seeds; tiny network",
            )
            for product in ours
        ]
    return rows


def _screening(family: str, seeds: int, device: str) -> Screening:
    from tests.memlib.text_to_image import families

    with TemporaryDirectory() as home, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # random weights predict nothing
        model = TextToImage.load(families.write(Path(home) / family, family), device=device)
    text = "207" if family == "dit" else "a cat"
    some = Screening(model, [text], model.noise(seeds, torch.Generator().manual_seed(0)))
    some.prompts  # noqa: B018 - encoded before anything is timed
    return some
