"""The image's definition against what it is built from; no image is built here."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[1]
STEPS = re.findall(
    r"(?m)^([A-Z]+) (.*)$", re.sub(r"\\\n *", "", (ROOT / "Containerfile").read_text())
)  # a step with its continued lines
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def of(kind):
    return [rest for step, rest in STEPS if step == kind]


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    """What the image holds of the clone when its environment is made."""
    folder = tmp_path_factory.mktemp("image")
    for step in of("COPY"):
        *sources, target = step.split()
        (folder / target).mkdir(parents=True, exist_ok=True)
        for source in sources:
            shutil.copy2(ROOT / source, folder / target)
    return folder


def test_python_is_one_that_the_project_supports():
    (image,) = of("FROM")
    version = re.fullmatch(r"python:(3\.\d+)-slim", image)[1]
    assert SpecifierSet(PYPROJECT["project"]["requires-python"]).contains(f"{version}.0")


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_the_environment_is_made_as_everywhere(copied):
    """By a target of the Makefile, of the lock, where VENV says, from the files that are there by then."""
    assert of("RUN")[-1] == "make setup"
    (environment,) = [value.removeprefix("VENV=") for value in of("ENV") if value.startswith("VENV=")]
    planned = subprocess.run(
        ["make", "--dry-run", "setup", f"VENV={environment}"],
        cwd=copied,
        capture_output=True,
        text=True,
        check=False,
    )
    assert planned.returncode == 0, planned.stderr
    assert f"-m venv {environment}" in planned.stdout
    sections = re.findall(r'\$3 == "(\w+)"', planned.stdout)
    assert sections == ["setuptools", "book", "dev"]
    assert f"PATH={environment}/bin:$PATH" in of("ENV")


def test_what_is_copied_suffices_to_install_the_packages(copied):
    """What setuptools reads, and both packages, whose modules come from the clone that is mounted."""
    project, found = PYPROJECT["project"], PYPROJECT["tool"]["setuptools"]
    module, _, name = found["dynamic"]["version"]["attr"].rpartition(".")
    assert f"{name} = " in (copied / module / "__init__.py").read_text()
    for file in (project["readme"], *project["license-files"]):
        assert (copied / file).is_file()
    packages = {pattern.removesuffix("*") for pattern in found["packages"]["find"]["include"]}
    assert {path.parent.name for path in copied.glob("*/__init__.py")} == packages
