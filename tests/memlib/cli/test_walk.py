"""The walk of one prompt through `memlib detect`: few files, named in the guide, never back up a layer."""

import re
import sys
import tomllib
from pathlib import Path

import pytest

import memlib as package
from memlib.screening import Screening, partial_table, prompt_files, ranking

from ..text_to_image.conftest import UNTRAINED

pytestmark = UNTRAINED

ROOT = Path(package.__file__).parent
PAGE = (ROOT.parent / "book" / "guide" / "architecture.md").read_text(encoding="utf-8")
MOST = 15
# No stations: checks of arguments, the writing of files, times and noise levels, which no prompt moves.
EVERYWHERE = {"checks.py", "files.py", "schedule.py", "text_to_image/clock.py"}


def layers():
    """Name of a module or package of memlib -> its layer, 0 at the top, as the import contract has them."""
    contracts = tomllib.loads((ROOT.parent / "pyproject.toml").read_text())["tool"]["importlinter"][
        "contracts"
    ]
    (contract,) = [c for c in contracts if c.get("containers") == ["memlib"]]
    return {name: n for n, layer in enumerate(contract["layers"]) for name in re.split(r"\W+", layer)}


def of_package(frame):
    """The file of a frame within the package; None for frames of others and of module bodies."""
    name = Path(frame.f_code.co_filename)
    inside = name.is_relative_to(ROOT) and frame.f_code.co_name != "<module>"
    return name.relative_to(ROOT).as_posix() if inside else None


class Watch:
    """Files in the order in which they are entered while watched functions run, and calls between files."""

    def __init__(self):
        self.files, self.calls, self.depth = [], set(), 0

    def of(self, function):
        """The function, watched."""

        def call(*arguments, **options):
            self.depth += 1
            try:
                return function(*arguments, **options)
            finally:
                self.depth -= 1

        return call

    def notice(self, frame, event, _):
        """For `sys.setprofile`."""
        if event != "call" or not self.depth or (here := of_package(frame)) is None:
            return
        self.files += [here] if here not in self.files else []
        caller = frame.f_back
        while caller is not None and of_package(caller) is None:
            caller = caller.f_back
        if caller is not None:
            self.calls.add((of_package(caller), here))


@pytest.fixture
def walk(memlib, folders, tmp_path, monkeypatch):
    """Files that one prompt enters, in order, and all calls from one file to another."""
    watch = Watch()
    table = partial_table.PartialTable
    # Where the prompt is at work: loading the model and telling it from others come before.
    for owner, name in [
        (prompt_files, "read"), (Screening, "_rows"), (table, "append"), (table, "join"), (ranking, "load"),
    ]:  # fmt: skip
        monkeypatch.setattr(owner, name, watch.of(getattr(owner, name)))
    (tmp_path / "a.txt").write_text("a cat")
    given = {"model": folders["epsilon"], "prompts": tmp_path / "a.txt", "out": tmp_path / "a.parquet"}
    sys.setprofile(watch.notice)
    try:
        code, _, err = memlib(
            "detect", *(word for key, value in given.items() for word in (f"--{key}", value))
        )
    finally:
        sys.setprofile(None)
    assert code == 0, err
    return ["cli/detect.py", *(file for file in watch.files if file not in EVERYWHERE)], watch.calls


def test_the_walk_is_short_and_told_in_the_guide(walk):
    files, _ = walk
    assert len(files) <= MOST, files
    told = PAGE.partition("## The walk of one prompt")[2].partition("\n## ")[0]
    assert [*dict.fromkeys(re.findall(r"`([a-z_0-9/]+\.py)`", told))] == files


def test_no_step_leads_back_up(walk):
    _, calls = walk
    layer = layers()

    def height(file):
        return layer[file.partition("/")[0].removesuffix(".py")]

    assert calls
    # A score is a function of somebody's network, which is called through it: the one way up there is.
    up = {(a, b) for a, b in calls if height(b) < height(a)}
    assert {a for a, _ in up} <= {"score.py"}, up
