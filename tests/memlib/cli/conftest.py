"""The program, called in this process, and tiny pipelines for it."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from memlib import cli

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


def start(command, **options):
    """The program in a process of its own, on as many threads as this one, which rounds alike."""
    return subprocess.Popen(
        [sys.executable, "-m", "memlib", command, *as_words(options)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())},
    )


def killed_at_work(process, pieces, files=5):
    """Kill a process once its folder of pieces holds so many, and return how many it left."""
    while process.poll() is None and len(list(pieces.glob("0*.parquet"))) < files:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    left = len(list(pieces.glob("0*.parquet")))
    assert left >= files
    return left
