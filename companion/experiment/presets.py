"""Presets and sweeps: files that say which parameters a notebook runs with.

A preset (`workflow/presets/NAME.yml`) gives overrides for some notebooks; others run with their defaults::

    about: Two CPU cores, shipped checkpoints.
    timeout: 1800            # seconds without any progress after which a run is taken to hang
    notebooks:
      04_mnist: {samples: 5}

A sweep (any YAML file) is a list of overrides for one notebook, on top of a preset::

    notebook: 02_gaussian_mixture
    preset: quick
    runs:
      - {seed: 0}
      - {name: heavy, seed: 1, samples: 64}
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from companion.experiment import names as naming
from companion.paths import project_root


class Preset(BaseModel):
    """Overrides by notebook name, and the seconds without progress after which a run is taken to hang."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    about: str
    timeout: Annotated[int, Field(ge=1)] | None = None
    notebooks: dict[str, dict[str, Any] | None] = {}

    def overrides(self, notebook: str) -> dict[str, Any]:
        """The overrides for one notebook; none if the preset does not name it."""
        return dict(self.notebooks.get(notebook) or {})


class Sweep(BaseModel):
    """Named runs of one notebook."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    notebook: str
    preset: str = "quick"
    runs: Annotated[list[dict[str, Any]], Field(min_length=1)]

    def named(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Run name and overrides; a run without `name` is called by its overrides, "seed-0"."""
        for run in self.runs:
            overrides = dict(run)
            name = overrides.pop("name", None)
            run_name = naming.automatic(overrides) if name is None else naming.checked(str(name))
            yield run_name, overrides


def folder() -> Path:
    """Where presets lie."""
    return project_root() / "workflow" / "presets"


def names(where: Path | None = None) -> list[str]:
    """Names of the presets there are."""
    return sorted(path.stem for path in (where or folder()).glob("*.yml"))


def load(name: str, where: Path | None = None) -> Preset:
    """Read a preset by name. Raises `ValueError` listing the presets there are, or the faults of the file."""
    path = (where or folder()) / f"{name}.yml"
    known = names(where)
    if name not in known:
        close = get_close_matches(name, known, n=1)
        meant = f", did you mean {close[0]}?" if close else ""
        raise ValueError(
            f"unknown preset {name!r}{meant} (there are: {', '.join(known) or 'none'}; see {path.parent})"
        )
    return _validated(Preset, path, {"name": name})


def load_sweep(path: Path) -> Sweep:
    """Read a sweep file. Raises `ValueError` for a missing or malformed file and for two runs of one name."""
    if not path.is_file():
        raise ValueError(f"{path} is not there; expected a sweep file such as workflow/sweeps/example.yml")
    sweep = _validated(Sweep, path, {})
    runs = [name for name, _ in sweep.named()]
    repeated = sorted({name for name in runs if runs.count(name) > 1})
    if repeated:
        raise ValueError(f"{path} names {', '.join(repeated)} more than once; give each run its own `name`")
    return sweep


Model = TypeVar("Model", bound=BaseModel)


def _validated(model: type[Model], path: Path, extra: dict[str, str]) -> Model:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not YAML: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(
            f"{path} must be a mapping, got {type(content).__name__}; see the examples in workflow/"
        )
    try:
        return model.model_validate({**content, **extra})
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ValueError(f"{path}: {faults}") from error
