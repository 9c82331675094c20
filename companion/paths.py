"""Where the repository and what ships with it lie."""

from __future__ import annotations

import os
from pathlib import Path


def project_root() -> Path:
    """The clone that holds `companion/`; the current folder when it is installed without one."""
    clone = Path(__file__).resolve().parents[1]
    return clone if (clone / "pyproject.toml").is_file() else Path.cwd()


def data_root() -> Path:
    """The `data/` folder of the repository, or the folder named by the environment variable `MEMLIB_DATA`."""
    named = os.environ.get("MEMLIB_DATA")
    return Path(named) if named else project_root() / "data"
