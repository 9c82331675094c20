"""The published prompts, from made-up files of the same form."""

import hashlib
import http.server
import json
import sys
import threading
from functools import partial

import pooch
import pytest

from companion.datasets import DataError
from companion.prompts import published as prompts

FILES = {
    "sd1_mem.txt": 'Björk <i>Explains</i>\nThe No Limits: "A/B"\nthird',
    "sd1_nmem.txt": "a cat\na dog\nepic, 4 k\na tuxemon cartoon\na beach",
    "sd2_mem.txt": "Floor 2\nUnicorn Rainbow\nWood",
    "sd2_mem.jsonl": "\n".join(
        json.dumps({"caption": caption, "overfit_type": kind})
        for caption, kind in [("Wood", "MV"), ("Floor 2", "TV"), ("Unicorn / Rainbow", "TV")]
    ),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The made-up files, taken for the published ones."""
    home = tmp_path / "files"
    home.mkdir()
    for name, text in FILES.items():
        (home / name).write_text(text, encoding="utf-8")
    found = {name: hashlib.sha256((home / name).read_bytes()).hexdigest() for name in FILES}
    monkeypatch.setattr(prompts, "HASHES", found)
    monkeypatch.setattr(prompts, "BLOCKS", {"COCO": 2, "Lexica": 1, "Tuxemon": 1, "GPT-4": 1})
    return home


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *ignored):
        pass


@pytest.fixture
def home(folder, tmp_path, monkeypatch):
    """A server on this machine in place of the files' home, and an empty cache."""
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / "cache" / name)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    monkeypatch.setattr(prompts, "URL", f"http://127.0.0.1:{server.server_port}/")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield folder
    server.shutdown()
    thread.join()
    server.server_close()


def test_memorized_come_first_and_others_have_the_family_of_their_block(folder):
    found = prompts.published("sd1", folder)
    assert [p.text for p in found] == (FILES["sd1_mem.txt"] + "\n" + FILES["sd1_nmem.txt"]).split("\n")
    assert [p.memorized for p in found] == [True] * 3 + [False] * 5
    assert [p.family for p in found] == ["untyped"] * 3 + ["COCO", "COCO", "Lexica", "Tuxemon", "GPT-4"]


def test_types_are_joined_by_caption_and_not_by_line(folder):
    found = prompts.published("sd2", folder)
    assert [(p.text, p.family) for p in found if p.memorized] == [
        ("Floor 2", "TV"),
        ("Unicorn Rainbow", "TV"),
        ("Wood", "MV"),
    ]
    assert [p for p in found if not p.memorized] == [
        p for p in prompts.published("sd1", folder) if not p.memorized
    ]


def test_the_blocks_are_those_of_the_file():
    assert sum(prompts.BLOCKS.values()) == 500
    assert all(len(value) == 64 for value in prompts.HASHES.values())


def test_files_are_fetched_once_and_kept(home, tmp_path):
    first = prompts.published("sd2")
    assert {path.name for path in (tmp_path / "cache/memlib/prompts").iterdir()} == {
        "sd1_nmem.txt",
        "sd2_mem.txt",
        "sd2_mem.jsonl",
    }
    for name in FILES:
        (home / name).unlink()
    assert prompts.published("sd2") == first == prompts.published("sd2")


def test_another_file_is_refused_and_not_kept(home, tmp_path):
    (home / "sd1_mem.txt").write_text("other")
    with pytest.raises(DataError, match=r"could not be downloaded.*hash.*folder="):
        prompts.published("sd1")
    assert not list((tmp_path / "cache/memlib/prompts").iterdir())
    with pytest.raises(DataError, match=r"has sha256 .*, expected"):
        prompts.published("sd1", home)


def test_a_home_that_does_not_answer(home):
    (home / "sd1_mem.txt").unlink()
    with pytest.raises(DataError, match=r"could not be downloaded.*404"):
        prompts.published("sd1")
    with pytest.raises(DataError, match=r"sd1_mem\.txt is missing; expected the file from"):
        prompts.published("sd1", home)


def test_an_unknown_version():
    with pytest.raises(ValueError, match=r"version must be one of \['sd1', 'sd2'\], got 'sd3'"):
        prompts.published("sd3")


def test_without_pooch_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(ImportError, match="pip install pooch"):
        prompts.published("sd1")
