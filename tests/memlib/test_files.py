"""Files are whole or absent."""

import os
import signal
import subprocess
import sys

import pytest

from memlib.files import whole, write_text

SLOW_WRITER = """
import os, sys, time
from pathlib import Path
from memlib.files import whole

with whole(Path(sys.argv[1])) as temporary:
    temporary.write_text("half of it")
    print("writing", flush=True)
    time.sleep(60)
"""


def test_a_file_appears_at_the_end_of_the_block(tmp_path):
    path = tmp_path / "new" / "a.png"
    with whole(path) as temporary:
        assert temporary.suffix == ".png"
        temporary.write_bytes(b"x")
        assert not path.exists()
    assert path.read_bytes() == b"x"
    assert [file.name for file in path.parent.iterdir()] == ["a.png"]


def test_readers_of_others_may_read_it(tmp_path):
    write_text(tmp_path / "a.txt", "a")
    assert (tmp_path / "a.txt").stat().st_mode & 0o044 == 0o044


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(TypeError), whole(path) as temporary:
        temporary.write_text(b"this raises")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_kill_in_the_middle_leaves_the_old_file(tmp_path):
    path = tmp_path / "results.json"
    write_text(path, "old")
    with subprocess.Popen(
        [sys.executable, "-c", SLOW_WRITER, str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "writing\n"
        os.kill(process.pid, signal.SIGKILL)
    assert path.read_text() == "old"
