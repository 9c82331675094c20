"""Tiny notebooks, written where a test wants them."""

from functools import partial

import pytest

from companion.experiment import recorder
from companion.experiment.context import VARIABLE

HEAD = """\
# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # A notebook

"""

PARAMETERS = """\
# %% tags=["parameters"]
seed: int = 0  # seed of every draw
device: str = "cpu"
output: str = ""

"""


def notebook_in(folder, body, name="01_toy", parameters=PARAMETERS):
    """Write a py:percent notebook and return its path."""
    path = folder / "notebooks" / f"{name}.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text(HEAD + parameters + body)
    return path


@pytest.fixture
def write_notebook(tmp_path):
    """`notebook_in` the folder of the test."""
    return partial(notebook_in, tmp_path)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run recorded in this process, as by hand."""
    monkeypatch.delenv(VARIABLE, raising=False)
    return recorder.start("01_toy", namespace(output=str(tmp_path / "run")))


def namespace(**values):
    """What `globals()` holds after a parameters cell."""
    values = {"seed": 7, "device": "cpu", **values}
    return {**values, "__annotations__": {name: type(value) for name, value in values.items()}}
