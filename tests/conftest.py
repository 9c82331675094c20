"""Fixtures that more than one part of the suite needs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with long tests go first, so that none is begun last and leaves the other processes idle."""
    slow = {item.path for item in items if any(map(item.get_closest_marker, ("browser", "slow")))}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def project() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def book() -> Path:
    """The folder of the built book: `MEMLIB_BOOK`, or where `make book` puts it."""
    path = Path(os.environ.get("MEMLIB_BOOK") or ROOT / "build/book/_build/html").resolve()
    if not (path / "index.html").is_file():
        pytest.fail(
            f"no built book in {path}; run `make book`, or set MEMLIB_BOOK to the folder of a built one"
        )
    return path
