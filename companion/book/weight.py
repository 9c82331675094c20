"""What themes leave in a site that no reader needs: maps from their packed scripts and styles to sources."""

from __future__ import annotations

from pathlib import Path

from sphinx.application import Sphinx


def remove_maps(folder: Path) -> None:
    """Delete the source maps below `folder`, a tenth of the site; only debuggers ask for them."""
    for path in folder.rglob("*.map"):
        path.unlink()


def _on_finish(app: Sphinx, exception: Exception | None) -> None:
    if exception is None:
        remove_maps(Path(app.outdir, "_static"))


def setup(app: Sphinx) -> None:
    """Register the removal, after everything else has been written."""
    app.connect("build-finished", _on_finish, priority=900)
