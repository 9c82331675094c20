"""Many prompts that share their noise: together against one by one, growth, and how many a second."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from benchmarks import one_step as single
from benchmarks.growth import exponent
from benchmarks.memory import alone
from benchmarks.rows import Row
from benchmarks.setting import Bench
from benchmarks.text_to_image import FIRST, Screening, prepared, screening
from benchmarks.timing import Target, Timed, compare, difference, in_turn, judged
from memlib.hessian import JacobianOperator
from memlib.text_to_image import one_step

NAME = "screening"
TOGETHER, ONE_BY_ONE, APART = "all together, noise shared", "one prompt after the other", "noise not shared"
THREE_MINUTES = Target("at most", 180)  # seconds


def run(bench: Bench) -> list[Row]:
    """Together against one by one, then a thousand prompts, then prompts a second for several batches."""
    return [*_together(bench), *_growth(bench), *_throughput(bench)]


def _together(bench: Bench) -> list[Row]:
    sizes = bench.sizes
    some = screening(sizes.organism, sizes.prompts, sizes.seeds, bench.device)
    ways = {TOGETHER: single.ours, APART: apart, ONE_BY_ONE: one_by_one, single.RELEASED: single.released}
    timed = in_turn(
        {name: partial(way, some) for name, way in ways.items()},
        rounds=bench.few,
        device=bench.device,
        say=bench.say,
        units=sizes.prompts,
    )
    return [
        compare(
            timed[TOGETHER],
            timed[name],
            benchmark=NAME,
            what=f"{sizes.prompts} prompts, {TOGETHER}",
            instead_of=name,
            setting=f"{sizes.seeds} seeds; per prompt",
            agreement=difference(timed[TOGETHER].outcome, timed[name].outcome),
        )
        for name in list(ways)[1:]
    ]


def one_by_one(some: Screening) -> Tensor:
    """Each prompt in a call of its own."""
    prompts = some.prompts
    return torch.cat(
        [one_step(some.model, prompts[[p]], some.noise, t=FIRST).curvature for p in range(len(prompts))]
    )


def apart(some: Screening, rows: int = 64) -> Tensor:
    """In the same batches, with the unconditional pass at the noise made anew for every prompt."""
    prompts, n = some.prompts, len(some.noise)
    together, found = max(1, rows // n), []
    for start in range(0, len(prompts), together):
        part = prompts[start : start + together]
        s_delta = some.model.difference(FIRST, part)
        with JacobianOperator(s_delta, some.noise.repeat(len(part), 1, 1, 1), product="difference") as op:
            found.append(torch.linalg.vector_norm(op.matvec(op.value), dim=1))
    return torch.cat(found).reshape(len(prompts), n)


def from_captions(some: Screening) -> Tensor:
    """The statistic of every caption, encoding included."""
    return one_step(some.model, some.model.encode(some.texts), some.noise, t=FIRST).curvature


def _growth(bench: Bench) -> list[Row]:
    """Captions to statistics for ever more prompts: time, and memory in processes of their own."""
    sizes = bench.sizes
    calls = {
        str(count): partial(from_captions, screening(sizes.organism, count, sizes.seeds, bench.device))
        for count in sizes.screened
    }
    timed = in_turn(calls, rounds=bench.few, warm_up=False, device=bench.device, say=bench.say)
    first, last = sizes.screened[0], sizes.screened[-1]
    memory = {}
    for count in (first, last):
        bench.say(f"memory of {count} prompts")
        arguments = (sizes.organism, count, sizes.seeds, bench.device, from_captions)
        memory[count] = alone(prepared, *arguments, device=bench.device).megabytes
    largest: Timed = timed[str(last)]
    rounds = zip(*(t.seconds for t in timed.values()), strict=True)
    about = {"benchmark": NAME, "setting": f"{sizes.seeds} seeds"}
    return [
        judged(
            largest.seconds,
            reads="seconds",
            target=THREE_MINUTES,
            what=f"{last} captions to one-step statistics",
            instead_of="three minutes",
            seconds=largest.median,
            **about,
        ),
        judged(
            [exponent(sizes.screened, turn) for turn in rounds],
            reads="exponent",
            target=Target("at most", 1.1),
            what="time against prompts",
            instead_of="linear growth",
            note=", ".join(f"{count}: {t.median:.2f} s" for count, t in timed.items()),
            **about,
        ),
        judged(
            [memory[last] / memory[first]],
            reads="times the memory of",
            target=Target("at most", 1.1),
            what=f"memory of {last} prompts",
            instead_of=f"{first} prompts",
            megabytes=memory[last],
            megabytes_instead=memory[first],
            **about,
        ),
    ]


def _throughput(bench: Bench) -> list[Row]:
    """Prompts a second by rows in a pass; on a GPU until the largest fills it."""
    sizes = bench.sizes
    batches = sizes.batches if torch.device(bench.device).type == "cpu" else sizes.batches_cuda
    some = screening(
        sizes.organism, max(sizes.prompts, max(batches) // sizes.seeds), sizes.seeds, bench.device
    )
    prompts = some.prompts
    timed = in_turn(
        {
            str(rows): partial(one_step, some.model, prompts, some.noise, t=FIRST, rows=rows)
            for rows in batches
        },
        rounds=bench.few,
        device=bench.device,
        say=bench.say,
    )
    return [
        judged(
            [len(prompts) / seconds for seconds in timing.seconds],
            reads="prompts a second",
            benchmark=NAME,
            what=f"{rows} rows in a pass",
            instead_of="other numbers of rows",
            setting=f"{len(prompts)} prompts, {sizes.seeds} seeds",
            seconds=timing.median,
        )
        for rows, timing in timed.items()
    ]
