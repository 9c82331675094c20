"""`make` alone explains itself, and says plainly what it lacks."""

import shutil
import subprocess
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
    stamp = tmp_path / "env" / ".memlib-book"
    stamp.touch()
    done = make("notebooks", f"VENV={tmp_path / 'env'}")
    assert done.returncode != 0
    assert f"belongs to the clone {other}" in done.stdout
    assert "pip uninstall -y memlib" in done.stdout
    assert stamp.exists()
    (record / "direct_url.json").write_text(f'{{"dir_info": {{"editable": true}}, "url": "file://{ROOT}"}}')
    assert "belongs to" not in make("notebooks", f"VENV={tmp_path / 'env'}").stdout
