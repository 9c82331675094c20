"""Where the repository and what ships with it lie."""

from __future__ import annotations

import os
from pathlib import Path


def project_root() -> Path:
    """The clone that holds `companion/`.

    Raises:
        ValueError: `companion` was installed without its clone, whose notebooks and data it needs.
    """
    clone = Path(__file__).resolve().parents[1]
    if not (clone / "pyproject.toml").is_file():
        raise ValueError(
            f"companion lies in {clone}, without the notebooks and data that it works on; get a clone of the "
            "repository and install from it with pip install -e '.[book]'"
        )
    return clone


def data_root() -> Path:
    """The `data/` folder of the repository, or the folder named by the environment variable `MEMLIB_DATA`."""
    named = os.environ.get("MEMLIB_DATA")
    return Path(named) if named else project_root() / "data"
