"""The commands and programs of the guides are ones that exist."""

import ast
import importlib
import re
import shlex
from pathlib import Path

import pytest
import typer

from memlib.cli import app

ROOT = Path(__file__).parents[3]
GUIDE = "".join((ROOT / "book" / "guide" / f"{name}.md").read_text() for name in ("screening", "audit"))
NAMES = ("audit", "detect", "generate")
COMMANDS = typer.main.get_command(app).commands


def lines():
    """Every call of memlib in the guides and in the help of its commands."""
    text = GUIDE + "".join(COMMANDS[name].help for name in NAMES).replace("\n  --", " --")
    blocks = re.findall(r"```bash\n(.*?)```", text, re.S) + re.findall(
        r"`(memlib (?:audit|detect|generate) [^`]+)`", text
    )
    joined = "\n".join(blocks).replace("\\\n", " ")
    return [shlex.split(" ".join(line.split())) for line in joined.splitlines() if line.startswith("memlib")]


@pytest.mark.parametrize("words", lines(), ids=" ".join)
def test_every_call_is_understood(words):
    _, name, *arguments = words
    if arguments in (["--help"], ["--mitigate", "help"]):
        with pytest.raises(typer.Exit):
            COMMANDS[name].make_context(name, arguments)
    else:
        COMMANDS[name].make_context(name, arguments)


def test_there_are_calls():
    assert {words[1] for words in lines()} == set(NAMES)
    assert len(lines()) >= 10


@pytest.mark.parametrize("program", re.findall(r"```python\n(.*?)```", GUIDE, re.S))
def test_what_a_program_imports_is_there(program):
    for node in ast.walk(ast.parse(program)):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module)
            assert all(hasattr(module, alias.name) for alias in node.names)


def test_the_first_program_runs(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    exec(re.findall(r"```python\n(.*?)```", GUIDE, re.S)[0], {})  # noqa: S102
    from memlib.screening import prompt_files

    mixed, known = (prompt_files.read(tmp_path / name) for name in ("mixed.csv", "known.txt"))
    assert set(mixed["label"].to_pylist()) == {True, False}
    assert not set(mixed["prompt"].to_pylist()) & set(known["prompt"].to_pylist())
