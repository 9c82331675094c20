"""Where the clone is, and what is said where there is none."""

import pytest

from companion import paths


def test_the_clone_holds_the_package():
    assert (paths.project_root() / "companion" / "paths.py").is_file()


def test_an_installation_without_the_clone_says_so(monkeypatch, tmp_path):
    monkeypatch.delenv("MEMLIB_DATA", raising=False)
    monkeypatch.setattr(paths, "__file__", str(tmp_path / "site-packages" / "companion" / "paths.py"))
    with pytest.raises(ValueError, match="get a clone of the repository and install from it") as stop:
        paths.data_root()
    assert "checkout" not in str(stop.value)
    monkeypatch.setenv("MEMLIB_DATA", str(tmp_path))
    assert paths.data_root() == tmp_path
