"""The program, called in this process, and tiny pipelines for it."""

import signal
import sys
import time

import pytest
import torch

from memlib import cli

from ...forked import started
from ..text_to_image.conftest import broken, folders

__all__ = ["broken", "folders"]


@pytest.fixture
def memlib(monkeypatch, capsys):
    """A function that calls the program and returns exit code, output and errors."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["memlib", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        captured = capsys.readouterr()
        return stop.value.code or 0, captured.out, captured.err

    return call


def as_words(options):
    """Options by name, as they are typed; one with a list of values is typed for each."""
    each = {name: value if isinstance(value, list) else [value] for name, value in options.items()}
    return [word for name, values in each.items() for value in values for word in (f"--{name}", str(value))]


def start(command, *switches, **options):
    """The program in a process of its own, on as many threads as this one, which rounds alike."""
    words = ["memlib", command, *switches, *as_words(options)]
    return started(PROGRAM.format(threads=torch.get_num_threads(), words=words), LOADED)


LOADED = [
    "torch", "memlib.audit", "memlib.cli", "transformers.models.clip.modeling_clip",
    "diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion",
]  # fmt: skip
PROGRAM = """\
import sys, torch
torch.set_num_threads({threads})
sys.argv = {words!r}
from memlib.cli import main
main()
"""


def killed_at_work(process, pieces, files=5):
    """Kill a process once its folder of pieces holds so many, and return how many it left."""
    while process.is_alive() and len(list(pieces.glob("0*.parquet"))) < files:
        time.sleep(0.01)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    left = len(list(pieces.glob("0*.parquet")))
    assert left >= files
    return left
