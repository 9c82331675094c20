"""The object through which a notebook writes down what it found.

Works alike under the driver, in Jupyter, under papermill by hand and in a plain Python script.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from companion import provenance
from companion.experiment import names, notebooks, parameters, values
from companion.experiment.context import Context
from companion.experiment.display import ParameterTable, Provenance
from companion.experiment.results import FILE, Artifact, Check, Results, Scalar, write
from companion.paths import project_root
from memlib.files import whole
from memlib.intervals import Interval

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

RESOLUTION = 150
"""Dots per inch of saved figures."""


def start(notebook: str, namespace: Mapping[str, object]) -> Run:
    """Begin a recorded run: check the parameters, resolve device and output folder, start the clock.

    Args:
        notebook: Its name without suffix, such as "02_gaussian_mixture".
        namespace: `globals()` of the notebook; its annotated variables are the parameters.

    Raises:
        ValueError: A parameter has another type than its annotation says or lies outside of its range, or the
            device cannot be used.
    """
    context = Context.current()
    source = context.source if context else notebooks.by_name().get(notebook)
    declared = parameters.from_namespace(namespace, parameters.read(source) if source else ())
    if not declared:
        raise ValueError(
            f"{notebook}: no annotated parameters found; call start(name, globals()) after a cell with lines "
            "such as `seed: int = 0`"
        )
    given = parameters.check(declared, {})
    output = Path(str(given.pop("output", "") or (context.output if context else _interactive(notebook))))
    shown = [replace(item, default=given[item.name]) for item in declared if item.name in given]
    return Run(names.as_file("notebook", notebook), shown, output.expanduser().resolve(), context)


def _interactive(notebook: str) -> Path:
    return project_root() / "build" / "runs" / notebook / "interactive"


class Run:
    """A run under way. `parameters`, `device` and `output` are what the notebook was given, resolved."""

    def __init__(
        self,
        notebook: str,
        given: Iterable[parameters.Parameter],
        output: Path,
        context: Context | None = None,
    ) -> None:
        from memlib import checks  # brings torch, which reading results does without

        self.notebook = notebook
        self._given = list(given)
        self.parameters: dict[str, Any] = {item.name: item.default for item in self._given}
        self.device = checks.device(self.parameters.get("device", "auto"))
        self.output = output
        self._context = context
        self._scalars: dict[str, Scalar] = {}
        self._figures: dict[str, Artifact] = {}
        self._tables: dict[str, Artifact] = {}
        self._checks: dict[str, Check] = {}
        self._started = datetime.now(UTC)
        self._clock = time.perf_counter()
        (output / FILE).unlink(missing_ok=True)  # a run that stops early leaves no results
        output.mkdir(parents=True, exist_ok=True)

    def parameter_table(self) -> ParameterTable:
        """The parameters as this run has them, for the notebook to show; meanings come from its source."""
        return ParameterTable(self._given)

    def record(
        self,
        key: str,
        value: float | Interval,
        *,
        interval: tuple[float, float] | None = None,
        level: float | None = None,
        n: int | None = None,
        about: str = "",
    ) -> None:
        """Put one number into `results.json`, glued under `key` (bounds: `key_lo`, `key_hi`).

        Args:
            key: Name of the number, unique in the notebook.
            value: A finite number; a tensor or array of one element will do. An `Interval` brings its bounds,
                level and n along.
            interval: Lower and upper bound of its uncertainty.
            level: Coverage of the interval, such as 0.95; required with it.
            n: How many samples it rests on.
            about: One sentence for a reader who sees only this number.

        Raises:
            ValueError: A value is NaN or infinite, the bounds are swapped, or `level` is missing.
        """
        names.as_file("record", key)
        if isinstance(value, Interval):
            interval, level, n = value.bounds, value.level, value.n
            value = value.value
        bounds = None if interval is None else [float(values.number(key, bound)) for bound in interval]
        number = values.number(key, value)
        self._scalars[key] = Scalar(value=number, interval=bounds, level=level, n=n, about=about)
        _glue(key, number)
        for suffix, bound in zip(("lo", "hi"), bounds or (), strict=False):
            _glue(f"{key}_{suffix}", bound)

    def table(self, data: Mapping[str, Any] | pd.DataFrame, name: str, *, about: str = "") -> pd.DataFrame:
        """Save columns of equal length as `tables/name.csv`; return the DataFrame for the cell to show."""
        import pandas as pd  # only runs with tables pay for it

        frame = data if isinstance(data, pd.DataFrame) else pd.DataFrame(dict(data))
        with whole(self._path("tables", name, "csv")) as temporary:
            frame.to_csv(temporary, index=not isinstance(frame.index, pd.RangeIndex))
        self._list(self._tables, name, [f"tables/{name}.csv"], about)
        return frame

    def arrays(self, name: str, *, about: str = "", **arrays: Any) -> None:
        """Save arrays or tensors of any shape as `tables/name.npz`: data of a figure that is no table.

        Args:
            name: the name of the file, without suffix.
            about: what the arrays are.
            arrays: numbers, of any shape.

        Raises:
            ValueError: no array, one of objects, or a name that cannot be one of a file.
        """
        if not arrays:
            raise ValueError(
                f"arrays({name!r}) got no array; pass them by name, arrays({name!r}, x=..., y=...)"
            )
        plain = {key: values.array(key, array) for key, array in arrays.items()}
        with whole(self._path("tables", name, "npz")) as temporary:
            np.savez_compressed(temporary, allow_pickle=False, **plain)
        self._list(self._tables, name, [f"tables/{name}.npz"], about)

    def figure(
        self,
        figure: Figure,
        name: str,
        *,
        about: str = "",
        data: Mapping[str, Any] | pd.DataFrame | None = None,
        opening: bool = False,
    ) -> None:
        """Save a figure as PNG and SVG, and its data: as CSV if all columns have one length, else as npz.

        Args:
            figure: What to save.
            name: Name of its files, unique in the notebook.
            about: What it shows.
            data: Columns or arrays that it is drawn from.
            opening: Whether the chapter's page opens with it. A run by the driver then glues it under
                `figure_NAME`, for a directive `glue:figure` at the top, and does not show it in its cell.
        """
        import matplotlib as mpl  # only runs with figures pay for it

        files = []
        # A fixed salt and no date: the same figure gives the same bytes.
        figure.draw_without_rendering()  # lays it out once, not anew for each file and for the page
        figure.set_layout_engine("none")
        box = figure.get_tightbbox().padded(
            mpl.rcParams["savefig.pad_inches"]
        )  # "tight" draws it again for each
        with mpl.rc_context({"svg.hashsalt": "memlib"}):
            for kind, metadata in (("png", {}), ("svg", {"Date": None})):
                with whole(self._path("figures", name, kind)) as temporary:
                    figure.savefig(temporary, dpi=RESOLUTION, bbox_inches=box, metadata=metadata)
                files.append(f"figures/{name}.{kind}")
        self._list(self._figures, name, files, about)
        if data is not None:
            self._figure_data(data, name, about)
        if opening and self._context:
            from matplotlib import pyplot as plt

            _glue(f"figure_{name}", figure)
            plt.close(figure)

    def _figure_data(self, data: Mapping[str, Any] | pd.DataFrame, name: str, about: str) -> None:
        shapes = {np.shape(data[key]) for key in data}
        if len(shapes) == 1 and len(next(iter(shapes))) == 1:
            self.table(data, name, about=about)
        else:
            self.arrays(name, about=about, **{str(key): data[key] for key in data})

    def check(self, name: str, condition: object, about: str) -> bool:
        """Hold a claim of the chapter against this run; return whether it holds.

        A run of a preset as it stands must meet all its checks: `finish` raises otherwise. With parameters of
        one's own, and in a notebook run by hand, a check that does not hold is recorded and shown.

        Args:
            name: unique in the notebook, such as "copies_are_sharper".
            condition: true or false: a bool, or a tensor or array of one element.
            about: what should hold, in one sentence.

        Raises:
            ValueError: the condition is not one truth value, or the name has been used.
        """
        names.as_file("check", name)
        if name in self._checks:
            raise ValueError(f"a check {name!r} has been made; give each its own name")
        plain = values.number(f"check {name}", condition)
        if not isinstance(plain, bool):
            raise ValueError(f"check {name} must be true or false, got {plain!r}; compare it with something")
        self._checks[name] = Check(holds=plain, about=about)
        return plain

    def finish(self) -> Provenance:
        """Validate and write `results.json`; the returned object shows provenance and downloads.

        Raises:
            AssertionError: a preset is run as it stands, or strictly, and a check does not hold; all are
                named.
        """
        results = Results(
            notebook=self.notebook,
            run=self._context.run if self._context else self.output.name,
            preset=self._context.preset if self._context else "",
            parameters=self.parameters,
            scalars=self._scalars,
            figures=self._figures,
            tables=self._tables,
            checks=self._checks,
            seed=self.parameters.get("seed"),
            device=self.device,
            hardware=provenance.hardware(self.device),
            versions=provenance.versions(),
            commit=provenance.commit(),
            dirty=provenance.dirty(),
            started=self._started,
            duration_s=round(time.perf_counter() - self._clock, 3),
        )
        if self._context and self._context.strict and results.broken:
            raise AssertionError(f"{self.notebook} does not hold: {'; '.join(results.broken)}")
        write(results, self.output)
        return Provenance(results, self.output, self._link(""))

    def _path(self, folder: str, name: str, suffix: str) -> Path:
        return self.output / folder / f"{names.as_file(folder, name)}.{suffix}"

    def _link(self, file: str) -> str | None:
        """Address of a file seen from its page in the book; None outside the driver, where there is none."""
        return f"../_static/runs/{self.notebook}/{file}" if self._context else None

    @staticmethod
    def _list(where: dict[str, Artifact], name: str, files: list[str], about: str) -> None:
        where[name] = Artifact(files=files, about=about)


def _glue(key: str, value: object) -> None:
    """Make a value quotable from the book's pages, in a kernel, where the book's tools are installed."""
    try:
        from IPython.core.getipython import get_ipython  # absent in a plain script
        from myst_nb import glue  # part of the book's tools
    except ImportError:
        return
    if get_ipython() is not None:
        glue(key, value, display=False)
