"""All of memlib but its command line, screening and audit imports with torch, numpy and scipy alone."""

import subprocess
import sys
from pathlib import Path

import pytest

import memlib

EXTRA = {"audit", "cli", "__main__", "screening"}

PROGRAM = """
import importlib, pkgutil, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ImportError(name + " is not part of the core")

sys.meta_path.insert(0, Absent())
for name in {modules!r}:
    importlib.import_module(name)
"""

BLOCKED = {
    "IPython",
    "diffusers",
    "jupytext",
    "matplotlib",
    "nbformat",
    "pandas",
    "papermill",
    "PIL",
    "pooch",
    "pyarrow",
    "pydantic",
    "rich",
    "sklearn",
    "transformers",
    "typer",
    "yaml",
}


def core_modules():
    root = Path(memlib.__file__).parent
    parts = [path.relative_to(root.parent).with_suffix("").parts for path in sorted(root.rglob("*.py"))]
    return [".".join(p for p in part if p != "__init__") for part in parts if not EXTRA & set(part)]


def run(program):
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)


def test_every_core_module_imports_without_the_extras():
    done = run(PROGRAM.format(blocked=BLOCKED, modules=core_modules()))
    assert done.returncode == 0, done.stderr


def test_the_commands_start_without_torch():
    """Which takes seconds: a batch of chapters starts many of them."""
    done = run(PROGRAM.format(blocked={"matplotlib", "torch"}, modules=["memlib.cli", "companion.cli"]))
    assert done.returncode == 0, done.stderr


def test_the_block_works():
    done = run(PROGRAM.format(blocked=BLOCKED, modules=["companion.experiment"]))
    assert "not part of the core" in done.stderr


@pytest.mark.parametrize(("package", "advice"), [("memlib", "'.[screen]'"), ("companion", "'.[book]'")])
@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_a_command_without_what_it_needs_says_what_to_install(package, advice, missing):
    program = f"import sys; sys.modules[{missing!r}] = None; from {package}.__main__ import main; main()"
    done = run(program)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"error: the command {package} needs {missing}, which is not installed")
    assert f"pip install -e {advice}" in done.stderr
