"""The benchmarks are a folder of the repository, not an installed package."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks import memory

LIBRARIES = ["torch", "scipy.stats", "diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion"]


@pytest.fixture(scope="session")
def forked() -> Iterator[None]:
    """Processes that measure are forked from one that has the libraries, which take each new one seconds."""
    context = get_context("forkserver")
    context.set_forkserver_preload(LIBRARIES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "get_context", lambda method: context)
        yield
