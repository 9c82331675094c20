"""One call in a process of its own: its time, its result and its memory at the peak."""

from __future__ import annotations

import re
import resource
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import torch

from benchmarks.timing import clock

# New processes are forked from one that has these and has computed nothing: to load them takes each seconds.
LIBRARIES = ["torch", "scipy.stats", "diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion"]


@dataclass(frozen=True)
class Alone:
    """What a call in a process of its own took and gave."""

    seconds: float
    megabytes: float
    outcome: Any


def alone(prepare: Callable[..., Callable[[], Any]], *arguments: Any, device: str) -> Alone:
    """Time and memory of `prepare(*arguments)()`, without those of `prepare`, in a fresh process.

    Memory is what is held on top of what `prepare` left: resident memory on a CPU, allocated memory on a GPU.

    Args:
        prepare: a function of a module that loads what is needed, warms up and returns the call.
        arguments: of `prepare`.
        device: where the call runs.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload(LIBRARIES)
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_measured, prepare, arguments, device, torch.get_num_threads()).result()


def _measured(
    prepare: Callable[..., Callable[[], Any]], arguments: tuple[Any, ...], device: str, threads: int
) -> Alone:
    torch.set_num_threads(threads)
    call = prepare(*arguments)
    on_gpu = torch.device(device).type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device) if on_gpu else psutil.Process().memory_info().rss
    seconds, outcome = clock(call, device)
    peak = torch.cuda.max_memory_allocated(device) if on_gpu else _peak_resident()
    # Memory is held in pages: what needs no new one has taken at most that.
    return Alone(seconds, max(peak - before, resource.getpagesize()) / 2**20, outcome)


def _peak_resident() -> int:
    """Bytes this process has held at most."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would report the parent's peak for a child that was just started
        (kibibytes,) = re.findall(r"VmHWM:\s*(\d+) kB", status.read_text())
        return int(kibibytes) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
