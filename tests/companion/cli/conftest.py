"""The program, called in this process."""

import sys

import pytest

from companion import cli


@pytest.fixture
def companion(monkeypatch, capsys):
    """A function that calls the program and returns exit code, output and errors."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["companion", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        captured = capsys.readouterr()
        return stop.value.code or 0, captured.out, captured.err

    return call
