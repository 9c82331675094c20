"""The program, called in this process, and tiny pipelines for it."""

import sys

import pytest

from memlib import cli

from ..latent.conftest import broken, folders

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
