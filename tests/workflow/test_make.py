"""`make` alone explains itself, and says plainly what it lacks."""

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def make(*arguments):
    return subprocess.run(["make", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


def test_make_alone_names_every_target():
    text = make().stdout
    lines = (ROOT / "Makefile").read_text().splitlines()
    declared = [line.removeprefix(".PHONY:").split() for line in lines if line.startswith(".PHONY:")]
    parts = {"owner", "chapters", "test-of-code"}  # of other targets
    targets = {target for some in declared for target in some} - parts
    assert len(targets) > 15
    for target in targets:
        assert f"make {target}" in text


def test_a_python_that_is_not_there(tmp_path):
    done = make("setup", "PYTHON=python-of-dreams", f"VENV={tmp_path / 'env'}")
    assert done.returncode != 0
    assert "python-of-dreams is not there: install Python 3.11 or newer" in done.stdout
    assert not (tmp_path / "env").exists()


def test_a_python_that_is_too_old(tmp_path):
    old = tmp_path / "python3.8"
    old.write_text('#!/bin/sh\ntest "$1" = --version && echo "Python 3.8.20"\n')
    old.chmod(0o755)
    done = make("setup", f"PYTHON={old}", f"VENV={tmp_path / 'env'}")
    assert done.returncode != 0
    assert "Python 3.8.20 is too old: Python 3.11 or newer is needed" in done.stdout


@pytest.mark.parametrize(("target", "message"), [("run", "Name a notebook"), ("sweep", "Name a sweep file")])
def test_what_must_be_named(target, message, tmp_path):
    (tmp_path / "bin").mkdir()
    for name in ("python", "companion"):
        (tmp_path / "bin" / name).symlink_to(shutil.which("true"))
    (tmp_path / ".memlib-book").touch()
    done = make(target, f"VENV={tmp_path}")
    assert done.returncode != 0
    assert message in done.stdout


def test_an_environment_of_another_clone_is_left_alone(tmp_path):
    other = tmp_path / "other clone"
    other.mkdir()
    record = tmp_path / "env" / "lib" / "python3.11" / "site-packages" / "memlib-0.1.dist-info"
    record.mkdir(parents=True)
    (record / "direct_url.json").write_text(f'{{"dir_info": {{"editable": true}}, "url": "file://{other}"}}')
    (tmp_path / "env" / "bin").mkdir()
    for name in ("python", "companion"):
        (tmp_path / "env" / "bin" / name).symlink_to(shutil.which("true"))
    stamp = tmp_path / "env" / ".memlib-book"
    stamp.touch()
    done = make("notebooks", f"VENV={tmp_path / 'env'}")
    assert done.returncode != 0
    assert f"belongs to the clone {other}" in done.stdout
    assert "pip uninstall -y memlib" in done.stdout
    assert stamp.exists()
    (record / "direct_url.json").write_text(f'{{"dir_info": {{"editable": true}}, "url": "file://{ROOT}"}}')
    assert "belongs to" not in make("notebooks", f"VENV={tmp_path / 'env'}").stdout


def wheel(folder, name, version):
    """Write a wheel of one module; its hash."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}_fake.py", "")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_only_files_with_the_hash_of_the_lock_are_installed(tmp_path):
    """From an index of one's own, a folder here, and without a network: of two files, one has changed."""
    kept = wheel(tmp_path / "wheels", "setuptools", "84.0")
    changed = wheel(tmp_path / "wheels", "alpha", "1.0")
    locked = {"setuptools": ("setuptools==84.0", kept), "book": ("alpha==1.0", "0" * 64)}
    lock = "".join(f"# section {name}\n{pin} --hash=sha256:{want}\n" for name, (pin, want) in locked.items())
    (tmp_path / "constraints.txt").write_text(lock)
    (tmp_path / "pyproject.toml").touch()
    shutil.copy2(ROOT / "Makefile", tmp_path)
    python = tmp_path / "env" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    outer = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "MAKE"))}
    index = {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": "wheels",
        "PIP_TARGET": "there",
    }
    done = subprocess.run(
        ["make", "env/.memlib-book", "VENV=env"],
        cwd=tmp_path,
        env=outer | index,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "DO NOT MATCH THE HASHES" in done.stdout
    assert changed in done.stdout
    assert [path.stem for path in (tmp_path / "there").glob("*_fake.py")] == ["setuptools_fake"]
    assert not (tmp_path / "env" / ".memlib-book").exists()
