"""Captions screened against a base, as `memlib audit` does it: a thousand in a minute, in flat memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from benchmarks.growth import exponent
from benchmarks.memory import alone
from benchmarks.rows import Row
from benchmarks.setting import Bench
from benchmarks.text_to_image import Screening, screening
from benchmarks.timing import Target, in_turn, judged
from memlib.audit.against_base import AgainstBase
from memlib.screening.screen import encoded
from memlib.text_to_image import TextToImage

NAME = "audit"
MINUTE = Target("at most", 60)  # seconds
_ROWS = 64


@dataclass(frozen=True)
class Pair:
    """Captions and noises of a screening, and a base beside its model."""

    some: Screening
    base: TextToImage


def pair(network: str, base: str, prompts: int, seeds: int, device: str) -> Pair:
    """A model with its prompts, and another one as the base."""
    return Pair(screening(network, prompts, seeds, device), screening(base, 1, seeds, device).model)


def against_base(given: Pair) -> Tensor:
    """All five statistics of every caption, encoding included; the one that ranks."""
    some, found = given.some, []
    task = AgainstBase(some.model, given.base, some.noise)
    together = max(1, _ROWS // len(some.noise))
    for start in range(0, len(some.texts), together):
        prompts = encoded(some.model, some.texts[start : start + together])
        found.append(task(prompts).values["excess"])
    return torch.cat(found)


def prepared(network: str, base: str, prompts: int, seeds: int, device: str) -> Callable[[], Tensor]:
    """`against_base` after a few captions for warmth, for a process of its own."""
    against_base(pair(network, base, 2, seeds, device))
    return partial(against_base, pair(network, base, prompts, seeds, device))


def run(bench: Bench) -> list[Row]:
    """Time of ever more captions, and memory in processes of their own."""
    sizes = bench.sizes
    models = (sizes.organism, sizes.organism_base)
    calls = {
        str(count): partial(against_base, pair(*models, count, sizes.seeds, bench.device))
        for count in sizes.screened
    }
    timed = in_turn(calls, rounds=bench.few, warm_up=False, device=bench.device, say=bench.say)
    first, last = sizes.screened[0], sizes.screened[-1]
    memory = {}
    for count in (first, last):
        bench.say(f"memory of {count} captions")
        memory[count] = alone(
            prepared, *models, count, sizes.seeds, bench.device, device=bench.device
        ).megabytes
    about = {"benchmark": NAME, "setting": f"{sizes.seeds} seeds, against {sizes.organism_base}"}
    largest = timed[str(last)]
    return [
        judged(
            largest.seconds,
            reads="seconds",
            target=MINUTE,
            what=f"{last} captions to five statistics against a base",
            instead_of="a minute",
            seconds=largest.median,
            **about,
        ),
        judged(
            [
                exponent(sizes.screened, turn)
                for turn in zip(*(t.seconds for t in timed.values()), strict=True)
            ],
            reads="exponent",
            target=Target("at most", 1.1),
            what="time against captions",
            instead_of="linear growth",
            note=", ".join(f"{count}: {t.median:.2f} s" for count, t in timed.items()),
            **about,
        ),
        judged(
            [memory[last] / memory[first]],
            reads="times the memory of",
            target=Target("at most", 1.1),
            what=f"memory of {last} captions",
            instead_of=f"{first} captions",
            megabytes=memory[last],
            megabytes_instead=memory[first],
            **about,
        ),
    ]
