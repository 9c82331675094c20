"""Prompts a second at the batch that fills the device, beside the network alone on as many rows.

The models are small and large ones, in the precision in which they are used.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from benchmarks.memory import alone
from benchmarks.rows import Row
from benchmarks.setting import Bench
from benchmarks.text_to_image import Screening, prepared, screening
from benchmarks.timing import Target, clock, compare, in_turn, judged
from memlib.hessian import Product
from memlib.text_to_image import Conditions, one_step

NAME = "throughput"
ENOUGH = 1.03  # a batch twice as large that gains less is not worth its memory


def run(bench: Bench) -> list[Row]:
    """Every model in every precision; large ones on a GPU alone."""
    models = bench.sizes.models
    if torch.device(bench.device).type == "cuda":
        models += bench.sizes.models_cuda
    rows = []
    for network, precision in models:
        rows += _model(bench, network, getattr(torch, precision))
        if torch.device(bench.device).type == "cuda":
            torch.cuda.empty_cache()
    return rows


def _model(bench: Bench, network: str, dtype: torch.dtype) -> list[Row]:
    seeds = bench.sizes.seeds
    most = max(bench.sizes.fills) // seeds
    some = screening(network, most, seeds, bench.device, dtype)
    some.prompts  # noqa: B018 - encoded before anything is timed
    product: Product = "difference" if dtype == torch.float32 else "vjp"
    filled = _fills(bench, some, product)
    prompts = max(1, filled // seeds)
    name = f"{network}, {str(dtype).removeprefix('torch.')}, {product}"
    setting = f"{filled} rows in a pass, {seeds} seeds"
    ours, bare = f"one step of {prompts} prompts", "the network alone on as many rows"
    timed = in_turn(
        {ours: partial(statistic, some, prompts, product), bare: partial(forward, some, prompts)},
        rounds=bench.few,
        device=bench.device,
        say=lambda what: bench.say(f"{name}: {what}"),
        # Of three rows for each prompt and seed, and one a seed for all: a timed pass has two.
        units={ours: 1, bare: 1 if product == "vjp" else 2 / (3 + 1 / prompts)},
    )
    about = {"benchmark": NAME, "setting": setting}
    rate = [prompts / seconds for seconds in timed[ours].seconds]
    memory = alone(
        prepared, network, 1, 1, bench.device, partial(single, product=product), dtype, device=bench.device
    )
    backward = product == "vjp"
    return [
        judged(
            rate,
            reads="prompts a second",
            what=name,
            instead_of="other numbers of rows",
            seconds=timed[ours].median,
            megabytes=memory.megabytes,
            note="memory is that of one prompt with one seed, on top of the model",
            **about,
        ),
        compare(
            timed[bare],
            timed[ours],
            reads="times the time of",
            what=bare,
            instead_of=name,
            note="a pass of the doubled batch, without a graph" if backward else "",
            target=None if backward else Target("at least", 0.9),
            **about,
        ),
    ]


def _fills(bench: Bench, some: Screening, product: Product) -> int:
    """Rows of the conditional half after which twice as many gain no more, or have no place."""
    best, best_rate = 0, 0.0
    for rows in bench.sizes.fills:
        bench.say(f"{some.model.source}: {rows} rows")
        prompts = max(1, rows // len(some.noise))
        try:
            statistic(some, prompts, product)
            seconds, _ = clock(partial(statistic, some, prompts, product), bench.device)
        except torch.OutOfMemoryError:
            break
        if rows / seconds < ENOUGH * best_rate:
            break
        best, best_rate = rows, rows / seconds
    if not best:
        raise RuntimeError(f"{some.model.source} does not fit with {bench.sizes.fills[0]} rows")
    return best


def statistic(some: Screening, prompts: int, product: Product) -> Tensor:
    """||H_Delta s_Delta|| of the first prompts at the first of 50 steps, in one batch."""
    rows = prompts * len(some.noise)
    return one_step(some.model, some.prompts[:prompts], some.noise, product=product, rows=rows).curvature


def single(some: Screening, product: Product) -> Tensor:
    """The same of one prompt."""
    return statistic(some, 1, product)


@torch.no_grad()
def forward(some: Screening, prompts: int) -> Tensor:
    """The denoiser alone on the batch of so many prompts, doubled for both scores."""
    model = some.model
    x = some.noise.repeat(prompts, *[1] * (some.noise.ndim - 1))
    halves = [some.prompts[:prompts].repeated(len(x)), model.empty.repeated(len(x))]
    return model.predict(model.timesteps()[0], torch.cat([x, x]), Conditions.joined(halves))
