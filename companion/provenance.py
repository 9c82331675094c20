"""Where a result comes from: commit, versions, hardware."""

from __future__ import annotations

import platform
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

from companion.paths import project_root
from memlib import __version__

PACKAGES = ("torch", "numpy", "scipy", "diffusers", "transformers")
"""Packages whose version can change a number; the ones that are not installed are left out."""


def commit() -> str:
    """Hash of the checked-out commit, or "unknown" outside a git clone."""
    return _git("rev-parse", "HEAD") or "unknown"


def dirty() -> bool | None:
    """Whether tracked files differ from the commit; None outside a git clone."""
    changed = _git("status", "--porcelain", "--untracked-files=no")
    return None if changed is None else bool(changed)


def tracked(root: Path) -> list[str] | None:
    """Paths of the tracked files of a clone, seen from its top; None outside a git clone."""
    found = _git("ls-files", "-z", root=root)
    return None if found is None else [name for name in found.split("\0") if name]


def _git(*arguments: str, root: Path | None = None) -> str | None:
    git = shutil.which("git")
    if git is None:
        return None
    try:
        done = subprocess.run(  # noqa: S603 - a fixed program with fixed arguments
            [git, "-C", str(root or project_root()), *arguments],
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
    except (subprocess.SubprocessError, OSError):
        return None
    return done.stdout.strip()


def versions() -> dict[str, str]:
    """Versions of Python, memlib and the packages that compute."""
    found = {"python": platform.python_version(), "memlib": __version__}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def hardware(device: str) -> str:
    """What `device` is: the name of the GPU, or the processor's architecture and the number of threads."""
    import torch

    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{platform.machine()} CPU, {threads} thread{'s' if threads > 1 else ''}"
