"""Tiny notebooks, written where a test wants them."""

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


@pytest.fixture
def write_notebook(tmp_path):
    """A function that writes a py:percent notebook and returns its path."""

    def write(body, name="01_toy", parameters=PARAMETERS):
        path = tmp_path / "notebooks" / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(HEAD + parameters + body)
        return path

    return write


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run recorded in this process, as by hand."""
    monkeypatch.delenv(VARIABLE, raising=False)
    return recorder.start("01_toy", namespace(output=str(tmp_path / "run")))


def namespace(**values):
    """What `globals()` holds after a parameters cell."""
    values = {"seed": 7, "device": "cpu", **values}
    return {**values, "__annotations__": {name: type(value) for name, value in values.items()}}
