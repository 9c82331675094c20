"""What the theme leaves in a site that no reader needs: source maps, and translations used while building."""

from __future__ import annotations

import shutil
from pathlib import Path

from sphinx.application import Sphinx


def lighten(folder: Path) -> None:
    """Delete the source maps, which only debuggers ask for, and the translations below `folder`."""
    for path in folder.rglob("*.map"):
        path.unlink()
    shutil.rmtree(folder / "locales", ignore_errors=True)


def _on_finish(app: Sphinx, exception: Exception | None) -> None:
    if exception is None:
        lighten(Path(app.outdir, "_static"))


def setup(app: Sphinx) -> None:
    """Register the removal, after everything else has been written."""
    app.connect("build-finished", _on_finish, priority=900)
