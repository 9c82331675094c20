"""The files that say what to install agree; that conda solves environment.yml is not tested here."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
BUILD = PYPROJECT["build-system"]["requires"]
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
LOCK = (ROOT / "constraints.txt").read_text()
SECTIONS = {section.split()[0]: section for section in LOCK.split("# section ")[1:]}
# A package has several lines where Python or the platform decides its version.
LOCKED = [Requirement(line.removesuffix(" \\")) for line in LOCK.splitlines() if re.match(r"\w", line)]


def pinned(name, python):
    """The version of a package in the lock, on Linux."""
    found = {
        requirement.specifier
        for requirement in LOCKED
        if requirement.name == name.lower().replace("_", "-")
        and (requirement.marker is None or requirement.marker.evaluate(environment(python)))
    }
    assert len(found) == 1, f"{name} has the versions {found}"
    (specifier,) = found.pop()
    assert specifier.operator == "==", f"{name} is not pinned by =="
    return specifier.version


def environment(python):
    minor = ".".join(python.split(".")[:2])
    return {
        "python_full_version": python,
        "python_version": minor,
        "sys_platform": "linux",
        "os_name": "posix",
    }


def test_conda_brings_python_and_pip_alone():
    names = [re.split(r"[=<> ]", item)[0] for item in CONDA if isinstance(item, str)]
    assert sorted(names) == ["pip", "python"]


def test_conda_python_is_one_that_the_project_supports():
    (pin,) = [
        item.removeprefix("python=") for item in CONDA if isinstance(item, str) and item.startswith("python=")
    ]
    assert SpecifierSet(PROJECT["requires-python"]).contains(f"{pin}.0")


def requirements():
    extras = PROJECT["optional-dependencies"].values()
    found = map(Requirement, [*PROJECT["dependencies"], *(item for extra in extras for item in extra)])
    return [requirement for requirement in found if requirement.name != "memlib"]


@pytest.mark.parametrize("python", ["3.11.0", "3.12.0", "3.13.0"])
@pytest.mark.parametrize("requirement", requirements(), ids=str)
def test_the_lock_pins_every_dependency_within_its_range(requirement, python):
    assert requirement.specifier.contains(pinned(requirement.name, python))


def test_the_lock_holds_what_builds_the_package():
    (requirement,) = map(Requirement, BUILD)
    assert requirement.specifier.contains(pinned(requirement.name, "3.11.0"))
    assert [line for line in SECTIONS["setuptools"].splitlines() if line.startswith(f"{requirement.name}==")]


def test_every_line_of_the_lock_has_hashes():
    entries = re.split(r"\n(?=\w)", "\n" + re.sub("(?m)^#.*\n", "", LOCK))[1:]
    assert len(entries) == len(LOCKED) > 200
    for entry in entries:
        first, *hashes = entry.rstrip().split(" \\\n    ")
        assert hashes, first
        assert all(re.fullmatch("--hash=sha256:[0-9a-f]{64}", one) for one in hashes), first


def test_torch_has_a_section_of_its_own():
    """Of which `make` takes the version alone."""
    assert [name for name, section in SECTIONS.items() if "\ntorch==" in section] == ["torch"]
    assert len(re.findall(r"(?m)^\w.*==", SECTIONS["torch"])) == 1


@pytest.mark.parametrize("section", ["book", "dev", "compare", "lab"])
def test_a_section_holds_what_its_extra_asks_for(section):
    """With what the sections before it hold, and torch."""
    before = ["book"] if section != "book" else []
    there = "".join(SECTIONS[name] for name in ("torch", "setuptools", *before, section))
    wanted = asked(section)
    assert wanted
    assert not [name for name in wanted if f"\n{name}==" not in there]


def asked(extra):
    """Names that an extra and the extras in it ask for, in lower case."""
    names = set()
    for requirement in map(Requirement, PROJECT["optional-dependencies"][extra]):
        if requirement.name == "memlib":
            names |= {name for other in requirement.extras for name in asked(other)}
        else:
            names.add(requirement.name.lower().replace("_", "-"))
    return names


def test_the_lock_holds_no_build_of_one_platform():
    names = [requirement.name for requirement in LOCKED]
    assert not [name for name in names if name.startswith(("nvidia-", "cuda-", "triton"))]
    assert not [requirement for requirement in LOCKED if requirement.url or "+" in str(requirement.specifier)]


def test_extras_refer_to_extras_that_exist():
    own = [
        Requirement(item)
        for extra in PROJECT["optional-dependencies"].values()
        for item in extra
        if item.startswith("memlib")
    ]
    assert own
    assert all(requirement.extras <= set(PROJECT["optional-dependencies"]) for requirement in own)
