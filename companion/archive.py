"""Sources, runs and what made them in one zip file, with checksums.

    memlib-VERSION/sources/          every tracked file
    memlib-VERSION/runs/NOTEBOOK/RUN/    executed notebook, results, figures and tables of every finished run
    memlib-VERSION/PROVENANCE.json   commit, versions, and of each run its commit and parameters
    memlib-VERSION/SHA256SUMS        for `sha256sum --check SHA256SUMS`

The same files give the same archive to the byte, whenever and wherever it is made.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from companion import provenance
from companion.experiment import results
from companion.experiment.runs import NOTEBOOK
from companion.experiment.staging import PUBLISHED
from memlib import __version__
from memlib.files import whole

TOP = f"memlib-{__version__}"
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every entry: the first that a zip file can hold."""


def write(root: Path, build: Path, path: Path) -> Path:
    """Write the archive whole and return its path.

    Args:
        root: the clone.
        build: its build folder.
        path: the zip file.

    Raises:
        ValueError: `root` is no git clone, a tracked file is missing, there is no finished run, or one is not
            valid.
    """
    tracked = provenance.tracked(root)
    if tracked is None:
        raise ValueError(f"{root} is no git clone, whose tracked files would be archived")
    runs = {file.parent: results.load(file) for file in results.finished(build)}
    if not runs:
        raise ValueError(f"{build} holds no finished run; make the book first: make book")
    entries = {f"sources/{name}": root / name for name in tracked}
    for folder in runs:
        place = f"runs/{folder.parent.name}/{folder.name}"
        entries |= {f"{place}/{file.relative_to(folder).as_posix()}": file for file in _published(folder)}
    absent = [str(file) for file in entries.values() if not file.is_file()]
    if absent:
        raise ValueError(f"tracked, but not there: {', '.join(absent)}; restore them: git checkout .")
    with whole(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        sums = {name: _add(archive, name, entries[name].read_bytes()) for name in sorted(entries)}
        origin = json.dumps(_origin(runs), indent=1, sort_keys=True) + "\n"
        sums["PROVENANCE.json"] = _add(archive, "PROVENANCE.json", origin.encode())
        lines = "".join(f"{digest}  {name}\n" for name, digest in sums.items())
        _add(archive, "SHA256SUMS", lines.encode())
    return path


def _published(folder: Path) -> Iterator[Path]:
    for source in (folder / name for name in (NOTEBOOK, *PUBLISHED)):
        found = source.rglob("*") if source.is_dir() else [source]
        yield from (path for path in found if path.is_file())


def _origin(runs: dict[Path, results.Results]) -> dict[str, Any]:
    """What made the archive and each of its runs."""
    kinds = {"commit", "dirty", "hardware", "parameters", "preset", "seed", "versions"}
    return {
        "commit": provenance.commit(),
        "dirty": provenance.dirty(),
        "version": __version__,
        "runs": {
            f"{run.notebook}/{run.run}": run.model_dump(mode="json", include=kinds) for run in runs.values()
        },
    }


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> str:
    """Add a file and return its sha256."""
    entry = zipfile.ZipInfo(f"{TOP}/{name}", EPOCH)
    entry.compress_type, entry.external_attr, entry.create_system = zipfile.ZIP_DEFLATED, 0o644 << 16, 3
    archive.writestr(entry, content)
    return hashlib.sha256(content).hexdigest()
