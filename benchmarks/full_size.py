"""The same as `one_step` on a U-Net of Stable Diffusion 1.4's size, with random weights.

It takes 12 GB and minutes for each round, so that every call runs in a process of its own, in turns, and its
time and its memory come from the same call.
"""

from __future__ import annotations

from benchmarks import one_step
from benchmarks.memory import Alone, alone
from benchmarks.rows import Row
from benchmarks.setting import Bench
from benchmarks.text_to_image import prepared
from benchmarks.timing import Timed

NAME = "full_size"


def run(bench: Bench) -> list[Row]:
    """Both ways in turn."""
    calls: dict[str, list[Alone]] = {name: [] for name in one_step.WAYS}
    for turn in range(bench.few):
        for name, way in one_step.WAYS.items():
            bench.say(f"{name}, round {turn + 1} of {bench.few}")
            arguments = (bench.sizes.full_size, 1, 1, bench.device, way)
            calls[name].append(alone(prepared, *arguments, device=bench.device))
    timed = {
        name: Timed(done[-1].outcome, tuple(each.seconds for each in done)) for name, done in calls.items()
    }
    memory = {name: max(each.megabytes for each in done) for name, done in calls.items()}
    values = {name: timing.outcome for name, timing in timed.items()}
    return one_step.rows(NAME, timed, memory, values, f"{bench.sizes.full_size}; one prompt, one seed")
