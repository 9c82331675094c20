"""The files that say what to install agree; that conda solves environment.yml is not tested here."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
PIP = next(item["pip"] for item in CONDA if isinstance(item, dict))
LOCK = {
    requirement.name.lower().replace("_", "-"): requirement
    for requirement in map(Requirement, (ROOT / "constraints.txt").read_text().splitlines())
}


def pinned(name):
    """The version of a package in the lock."""
    (specifier,) = LOCK[name].specifier
    assert specifier.operator == "==", f"{name} is not pinned by =="
    return specifier.version


def test_conda_brings_python_and_pip_alone():
    names = [re.split(r"[=<> ]", item)[0] for item in CONDA if isinstance(item, str)]
    assert sorted(names) == ["pip", "python"]


def test_conda_python_is_one_that_the_project_supports():
    (pin,) = [
        item.removeprefix("python=") for item in CONDA if isinstance(item, str) and item.startswith("python=")
    ]
    assert SpecifierSet(PROJECT["requires-python"]).contains(f"{pin}.0")


def test_conda_installs_extras_that_exist():
    (editable,) = [item for item in PIP if item.startswith("-e ")]
    extras = re.fullmatch(r"-e \.\[([\w,]+)\]", editable)[1].split(",")
    assert set(extras) <= set(PROJECT["optional-dependencies"])


def test_conda_uses_the_lock_and_its_torch():
    assert "-c constraints.txt" in PIP
    assert f"torch=={pinned('torch')}" in PIP


def requirements():
    extras = PROJECT["optional-dependencies"].values()
    found = map(Requirement, [*PROJECT["dependencies"], *(item for extra in extras for item in extra)])
    return [requirement for requirement in found if requirement.name != "memlib"]


@pytest.mark.parametrize("requirement", requirements(), ids=str)
def test_the_lock_pins_every_dependency_within_its_range(requirement):
    assert requirement.specifier.contains(pinned(requirement.name.lower().replace("_", "-")))


def test_the_lock_holds_no_build_of_one_platform():
    assert not [name for name in LOCK if name.startswith(("nvidia-", "cuda-", "triton"))]
    assert not [name for name, requirement in LOCK.items() if requirement.url or "+" in str(requirement)]


def test_extras_refer_to_extras_that_exist():
    own = [
        Requirement(item)
        for extra in PROJECT["optional-dependencies"].values()
        for item in extra
        if item.startswith("memlib")
    ]
    assert own
    assert all(requirement.extras <= set(PROJECT["optional-dependencies"]) for requirement in own)
