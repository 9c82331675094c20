"""A part of the suite on kernels for older processors, whose last bits differ."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

CHEAP = [
    "tests/memlib/test_mixture.py",
    "tests/memlib/test_sampling.py",
    "tests/memlib/test_score.py",
    "tests/memlib/test_sharpness.py",
    "tests/memlib/hessian/test_dense.py",
    "tests/memlib/hessian/test_trace.py",
]
# Read when the libraries start: kernels of PyTorch, of oneDNN (convolutions), of MKL and OpenBLAS (products).
OLDER = {
    "ATEN_CPU_CAPABILITY": "default",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "MKL_CBWR": "COMPATIBLE",
    "OPENBLAS_CORETYPE": "Prescott",
    "OMP_NUM_THREADS": "1",
}
RUN = """\
import sys, pytest, torch
assert torch.backends.cpu.get_cpu_capability() == "DEFAULT"
sys.modules["diffusers"] = None  # these run where torch alone is installed, as `make gpu` promises
sys.exit(pytest.main(["-q", "-n", "0", "-m", "not slow", "-p", "no:cacheprovider", *sys.argv[1:]]))
"""


def test_the_numerics_do_not_depend_on_the_newest_instructions(project):
    done = subprocess.run(
        [sys.executable, "-c", RUN, *CHEAP],
        cwd=project,
        env=os.environ | OLDER,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
