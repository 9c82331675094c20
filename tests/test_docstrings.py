"""Every example in a docstring runs and prints what it says, whatever the processor's last bits are."""

import contextlib
import doctest
import importlib
import pkgutil

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

import companion
import memlib

pytestmark = pytest.mark.slow  # all together

MODULES = sorted(
    module.name
    for package in (memlib, companion)
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    if not module.name.endswith("__main__")
)


PRODUCTS = ["mm", "bmm", "addmm", "baddbmm", "mv", "dot", "convolution", "_cdist_forward"]
SUMS = ["sum", "mean", "cumsum", "linalg_vector_norm", "native_group_norm", "_softmax", "logsumexp"]
FUNCTIONS = ["exp", "log", "log1p", "cos", "sin", "tanh", "erf", "sigmoid", "silu", "pow"]
FACTORS = ["_linalg_eigh", "linalg_cholesky_ex", "linalg_solve_triangular", "cholesky_solve", "linalg_qr"]
KERNELS = frozenset([*PRODUCTS, *SUMS, *FUNCTIONS, *FACTORS])
INTEGERS = {torch.float32: torch.int32, torch.float64: torch.int64}


class AnotherProcessor(TorchDispatchMode):
    """Kernels whose last bits differ between processors return values that are moved by one last bit.

    Up or down is decided by the value's bits, so that the same call gives the same result, as on a real
    processor. Sums, products and roots of single numbers are rounded alike everywhere and stay.
    """

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        return tree_map(self.moved, found) if func._schema.name.partition("::")[2] in KERNELS else found

    def moved(self, value):
        if not isinstance(value, torch.Tensor) or value.dtype not in INTEGERS:
            return value
        bits = value.contiguous().view(INTEGERS[value.dtype])
        step = 2 * ((bits * 0x5BD1E995) >> 13 & 1) - 1
        return torch.where(value == 0, value, (bits + step).view(value.dtype))


@pytest.mark.parametrize("processor", [contextlib.nullcontext, AnotherProcessor])
@pytest.mark.parametrize("name", MODULES)
def test_examples(name, processor, monkeypatch, tmp_path):
    module = importlib.import_module(name)
    monkeypatch.chdir(tmp_path)
    with processor():
        assert doctest.testmod(module).failed == 0


def test_another_processor_differs_in_the_last_bit_alone():
    x = torch.linspace(0.1, 1.0, 20).double()
    expected = x.exp()
    with AnotherProcessor():
        found, again, exact = x.exp(), x.exp(), 3 * x
    assert torch.equal(exact, 3 * x)
    assert torch.equal(found, again)
    assert (found != expected).all()
    torch.testing.assert_close(found, expected, rtol=torch.finfo(x.dtype).eps, atol=0)


def test_there_are_examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    examples = [
        test for name in MODULES for test in finder.find(importlib.import_module(name)) if test.examples
    ]
    assert len(examples) >= 5
