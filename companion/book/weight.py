"""What the theme leaves in a site that no reader needs: source maps, translations, fonts of old browsers."""

from __future__ import annotations

import shutil
from pathlib import Path

from sphinx.application import Sphinx


def lighten(folder: Path) -> None:
    """Delete below `folder` source maps, which debuggers ask for, the theme's translations, and TTF fonts.

    Translations serve while a site is built. Of every font there is a smaller WOFF2 file, which the style
    sheet names first.
    """
    for suffix in ("map", "ttf"):
        for path in folder.rglob(f"*.{suffix}"):
            path.unlink()
    shutil.rmtree(folder / "locales", ignore_errors=True)


def _on_finish(app: Sphinx, exception: Exception | None) -> None:
    if exception is None:
        lighten(Path(app.outdir, "_static"))


def setup(app: Sphinx) -> None:
    """Register the removal, after everything else has been written."""
    app.connect("build-finished", _on_finish, priority=900)
