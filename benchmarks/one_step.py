"""||H_Delta s_Delta|| of one prompt: a forward difference against the released way, forward-mode products."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.memory import alone
from benchmarks.rows import Row
from benchmarks.setting import Bench
from benchmarks.text_to_image import FIRST, Screening, prepared, screening
from benchmarks.timing import Target, Timed, compare, difference, in_turn, judged, repeated
from memlib.text_to_image import Conditions, one_step

NAME = "one_step"
OURS, RELEASED, PASS = "difference of s_Delta", "forward, then torch.func.jvp", "a pass of the doubled batch"


def run(bench: Bench) -> list[Row]:
    """Time of both ways and of a pass, then the memory of each in a process of its own."""
    sizes = bench.sizes
    some = screening(sizes.organism, 1, sizes.seeds, bench.device)
    timed = in_turn(
        {name: repeated(partial(way, some), sizes.inner) for name, way in (WAYS | {PASS: forward}).items()},
        rounds=2 * bench.rounds,
        device=bench.device,
        say=bench.say,
        units=sizes.inner,
    )
    memory = {}
    for name, way in WAYS.items():
        bench.say(f"memory of {name}")
        arguments = (sizes.organism, 1, sizes.seeds, bench.device, way)
        memory[name] = alone(prepared, *arguments, device=bench.device).megabytes
    setting = f"one prompt, {sizes.seeds} seeds; per prompt"
    against_a_pass = [
        compare(
            timed[name],
            timed[PASS],
            reads="times the time of",
            benchmark=NAME,
            what=name,
            instead_of=PASS,
            setting=setting,
        )
        for name in WAYS
    ]
    bench.say("values of both ways")
    many = screening(sizes.organism, sizes.captions, sizes.seeds, bench.device)
    values = {name: way(many) for name, way in WAYS.items()}
    return rows(NAME, timed, memory, values, setting) + against_a_pass


def rows(
    benchmark: str,
    timed: dict[str, Timed],
    memory: dict[str, float],
    values: dict[str, Tensor],
    setting: str,
) -> list[Row]:
    """Time, memory and values of our way beside the released one, each with its target."""
    about: dict[str, Any] = {"benchmark": benchmark, "instead_of": RELEASED, "setting": setting}
    off = (values[OURS] / values[RELEASED] - 1).abs().flatten()
    return [
        compare(
            timed[OURS],
            timed[RELEASED],
            target=Target("at least", 3.5),
            what=f"||H_Delta s_Delta|| by a {OURS}",
            agreement=difference(values[OURS], values[RELEASED]),
            **about,
        ),
        judged(
            [memory[OURS] / memory[RELEASED]],
            reads="times the memory of",
            target=Target("at most", 0.5),
            what="memory at the peak",
            megabytes=memory[OURS],
            megabytes_instead=memory[RELEASED],
            **about,
        ),
        judged(
            [float(off.max())],
            reads="relative difference",
            target=Target("at most", 1e-3),
            what="largest difference of a value",
            note=f"{len(values[OURS])} prompts: median {off.median():.1e}, "
            f"{int((off <= 1e-3).sum())} of {len(off)} values within 1e-3",
            **about,
        ),
    ]


def ours(some: Screening) -> Tensor:
    """||H_Delta s_Delta|| of every prompt and seed, `(P, n)`."""
    return one_step(some.model, some.prompts, some.noise, t=FIRST).curvature


def released(some: Screening) -> Tensor:
    """The same, prompt by prompt: s_Delta by a pass, then J s_Delta of the doubled batch in forward mode.

    Forward-mode differentiation has no rule for fused attention.
    """
    found = []
    for row in range(len(some.texts)):
        n = len(some.noise)
        text = Conditions.joined([some.prompts[[row]].repeated(n), some.model.empty.repeated(n)])

        def s_delta(x: Tensor, text: Conditions = text) -> Tensor:
            conditional, unconditional = some.model.estimates(FIRST, torch.cat([x, x]), text).chunk(2)
            return conditional - unconditional

        with torch.no_grad():
            s = s_delta(some.noise)
            with sdpa_kernel(SDPBackend.MATH):
                product = torch.func.jvp(s_delta, (some.noise,), (s,))[1]
        found.append(torch.linalg.vector_norm(product.flatten(1).double(), dim=1))
    return torch.stack(found)


def forward(some: Screening) -> Tensor:
    """One pass of the batch doubled for both scores."""
    with torch.no_grad():
        return some.model.difference(FIRST, some.prompts)(some.noise)


WAYS: dict[str, Callable[[Screening], Tensor]] = {OURS: ours, RELEASED: released}
