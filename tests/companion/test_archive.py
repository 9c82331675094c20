"""The archive is whole, says where it came from, and is the same each time."""

import hashlib
import json
import subprocess
import zipfile

import pytest

from companion import archive
from companion.experiment import recorder
from companion.experiment.runs import NOTEBOOK, Place


@pytest.fixture
def clone(tmp_path):
    """A clone with two tracked files, one that is not, and one finished run."""
    root = tmp_path / "clone"
    (root / "code").mkdir(parents=True)
    (root / "code" / "main.py").write_text("x = 1\n")
    (root / "grün.md").write_text("prose\n")
    for arguments in (["init", "-q"], ["add", "."]):
        subprocess.run(["git", "-C", root, *arguments], check=True)
    (root / "scratch.txt").write_text("not tracked")
    place = Place(root / "build", "01_toy", "quick")
    kinds = {"seed": int, "output": str}
    run = recorder.start("01_toy", {"seed": 3, "output": str(place.final), "__annotations__": kinds})
    run.record("x", 1.5)
    run.table({"a": [1, 2]}, "few")
    run.finish()
    (place.final / NOTEBOOK).write_text("{}")
    (place.final / "log.txt").write_text("not published")
    return root


def test_it_unpacks_to_what_its_checksums_say(clone, tmp_path):
    path = archive.write(clone, clone / "build", tmp_path / "archive.zip")
    with zipfile.ZipFile(path) as packed:
        packed.extractall(tmp_path / "out")
    top = tmp_path / "out" / archive.TOP
    listed = dict(line.split("  ")[::-1] for line in (top / "SHA256SUMS").read_text().splitlines())
    files = {file.relative_to(top).as_posix(): file for file in top.rglob("*") if file.is_file()}
    run = "runs/01_toy/quick"
    assert files.keys() == {
        "SHA256SUMS", "PROVENANCE.json", "sources/code/main.py", "sources/grün.md",
        f"{run}/{NOTEBOOK}", f"{run}/results.json", f"{run}/tables/few.csv",
    }  # fmt: skip
    assert listed.keys() == files.keys() - {"SHA256SUMS"}
    for name, digest in listed.items():
        assert hashlib.sha256(files[name].read_bytes()).hexdigest() == digest
    origin = json.loads((top / "PROVENANCE.json").read_text())
    assert origin["runs"]["01_toy/quick"]["parameters"] == {"seed": 3}


def test_the_same_files_give_the_same_archive(clone, tmp_path):
    first = archive.write(clone, clone / "build", tmp_path / "a.zip").read_bytes()
    (clone / "code" / "main.py").touch()
    assert archive.write(clone, clone / "build", tmp_path / "b.zip").read_bytes() == first
    (clone / "code" / "main.py").write_text("x = 2\n")
    assert archive.write(clone, clone / "build", tmp_path / "c.zip").read_bytes() != first


def test_what_cannot_be_whole_is_not_written(clone, tmp_path):
    path = tmp_path / "archive.zip"
    with pytest.raises(ValueError, match="holds no finished run"):
        archive.write(clone, tmp_path, path)
    with pytest.raises(ValueError, match="is no git clone"):
        archive.write(tmp_path, clone / "build", path)
    (clone / "code" / "main.py").unlink()
    with pytest.raises(ValueError, match="tracked, but not there"):
        archive.write(clone, clone / "build", path)
    assert not path.exists()
