"""Text notebooks: which there are, and their plain `.ipynb` form."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from companion.paths import project_root
from memlib.files import whole

if TYPE_CHECKING:
    from nbformat import NotebookNode


def all_notebooks(folder: Path | None = None) -> list[Path]:
    """Notebooks `NN_name.py` of a folder, by default `notebooks/` of the clone, in their order."""
    return sorted((folder or project_root() / "notebooks").glob("[0-9][0-9]_*.py"))


def by_name() -> dict[str, Path]:
    """The notebooks of the clone by their names without suffix."""
    return {path.stem: path for path in all_notebooks()}


def find(notebook: str) -> Path:
    """Path of a notebook given as a path or as a name. Raises `ValueError` listing the ones there are."""
    path, known = Path(notebook), by_name()
    if path.is_file():
        return path.resolve()
    if path.stem in known:
        return known[path.stem]
    raise ValueError(f"unknown notebook {notebook!r} (there are: {', '.join(known) or 'none'})")


def read(notebook: Path) -> NotebookNode:
    """A text notebook (py:percent or MyST) as a notebook object, without outputs."""
    # Imported here: a running notebook, or one who reads results, needs no notebook tools.
    import jupytext

    content: NotebookNode = jupytext.read(notebook)
    return content


def write(content: NotebookNode, path: Path) -> None:
    """Write a notebook object as `.ipynb`, whole."""
    import nbformat

    with whole(path) as temporary:
        nbformat.write(content, temporary)


def forget_paths(path: Path) -> None:
    """Drop the paths papermill stores: the notebook goes to readers, where it was run does not."""
    import nbformat

    content = nbformat.read(path, as_version=4)
    for key in ("input_path", "output_path"):
        content.metadata.get("papermill", {}).pop(key, None)
    write(content, path)
