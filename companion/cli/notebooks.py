"""Commands that run notebooks and show what they are and gave."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Column, Table

from companion.cli.program import AsJson, Build, PresetName, app
from companion.experiment import (
    compare,
    driver,
    names,
    notebooks,
    parameters,
    presets,
    results,
    side_by_side,
)
from companion.experiment.runs import Place, build_folder
from memlib.cli.program import complain, console

Notebook = Annotated[
    str,
    typer.Argument(
        metavar="NOTEBOOK", help="Name such as 02_gaussian_mixture, or a path to a text notebook."
    ),
]

TIMEOUT = (
    "Seconds without any progress (output, processor time, reading, writing) after which the run is taken to "
    "hang; default: that of the preset, 600 for quick, 1800 for recorded, 3600 for full, 14400 for rehearsal."
)


@app.command()
def run(
    notebook: Notebook,
    preset: PresetName = "quick",
    parameter: Annotated[
        list[str] | None,
        typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="Override one parameter."),
    ] = None,
    name: Annotated[
        str, typer.Option(help="Name of the run and its folder; default: the preset, or the overrides given.")
    ] = "",
    sweep: Annotated[Path | None, typer.Option(help="Sweep file that defines the run called --name.")] = None,
    timeout: Annotated[int | None, typer.Option(help=TIMEOUT, min=1)] = None,
    strict: Annotated[
        bool | None,
        typer.Option(
            help="Fail if a check of the notebook does not hold, or record that; "
            "default: fail for a preset as it stands, record where parameters are overridden."
        ),
    ] = None,
    build: Build = None,
) -> None:
    """Execute a notebook and keep its results in `build/runs/NOTEBOOK/NAME`.

    For example:

    - `companion run 02_gaussian_mixture`
    - `companion run 04_mnist --preset full`
    - `companion run 04_mnist -p samples=20 -p device=cuda --name twenty`
    """
    path = notebooks.find(notebook)
    chosen = presets.load(preset)
    given = parameters.from_text(parameters.read(path), _pairs(parameter or []))
    run_name = names.checked(name or (names.automatic(given) if given else preset))
    given = {**_of_sweep(sweep, name), **given}
    overrides = {**chosen.overrides(path.stem), **given}
    parameters.check(parameters.read(path), overrides)
    console.print(f"{path.stem} ({run_name}): running")
    found = driver.execute(
        path,
        overrides,
        run=run_name,
        preset=preset,
        build=build,
        timeout=timeout or chosen.timeout,
        strict=not given if strict is None else strict,
    )
    place = Place(build or build_folder(), path.stem, run_name)
    console.print(f"{path.stem} ({run_name}): {found.duration_s:.0f} s, results in {place.final}")
    _tell_broken(found)


def _tell_broken(found: results.Results) -> None:
    for check in found.broken:
        complain.print(f"[bold yellow]does not hold:[/] {escape(check)}")


def _pairs(texts: list[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts]
    wrong = [text for text, (name, sign, _) in zip(texts, pairs, strict=True) if not (name and sign)]
    if wrong:
        raise ValueError(f"{', '.join(wrong)}: expected NAME=VALUE, for example -p seed=1")
    return {name.strip(): value.strip() for name, _, value in pairs}


def _of_sweep(sweep: Path | None, name: str) -> dict[str, Any]:
    if sweep is None:
        return {}
    runs = dict(presets.load_sweep(sweep).named())
    if name not in runs:
        raise ValueError(
            f"{sweep} has no run {name!r} (there are: {', '.join(runs)}); choose one with --name"
        )
    return runs[name]


@app.command("notebooks")
def list_notebooks() -> None:
    """List the notebooks."""
    for path in notebooks.all_notebooks():
        console.print(path.stem)


@app.command()
def convert(
    to: Annotated[Path | None, typer.Option(help="Folder; default: build/notebooks.")] = None,
) -> None:
    """Write every notebook as a plain `.ipynb` without outputs, for Jupyter without jupytext."""
    folder = to or build_folder() / "notebooks"
    for path in notebooks.all_notebooks():
        notebooks.write(notebooks.read(path), folder / f"{path.stem}.ipynb")
        console.print(str(folder / f"{path.stem}.ipynb"))


@app.command("parameters")
def show_parameters(notebook: Notebook, as_json: AsJson = False) -> None:
    """Show the parameters of a notebook, without running it."""
    found = parameters.read(notebooks.find(notebook))
    if as_json:
        kinds = ("name", "type", "help")
        entries = [{kind: getattr(item, kind) for kind in kinds} | _optional(item) for item in found]
        typer.echo(json.dumps(entries, indent=1))
        return
    table = Table("parameter", "type", "default", "may be", "meaning")
    for item in found:
        default = "(required)" if item.required else repr(item.default)
        within = item.limits.text if item.limits else ""
        table.add_row(*map(escape, (item.name, item.type, default, within, item.help)))
    console.print(table)


def _optional(item: parameters.Parameter) -> dict[str, Any]:
    default = {} if item.required else {"default": item.default}
    return default | ({"may be": item.limits.text} if item.limits else {})


@app.command("presets")
def list_presets() -> None:
    """List the presets and what each changes."""
    table = Table("preset", "for", "overrides")
    for name in presets.names():
        preset = presets.load(name)
        changes = [f"{notebook}: {values}" for notebook, values in preset.notebooks.items() if values]
        table.add_row(name, preset.about, escape("\n".join(changes)))
    console.print(table)


@app.command("results")
def show_results(
    notebook: Notebook,
    name: Annotated[
        list[str] | None,
        typer.Option(help="Name of the run, again for more; default: quick, and with --table all there are."),
    ] = None,
    sweep: Annotated[Path | None, typer.Option(help="Sweep file whose runs are shown.")] = None,
    table: Annotated[bool, typer.Option("--table", help="Several runs as one table.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Write the table, one row a run, to this file: .csv or .parquet.")
    ] = None,
    as_json: AsJson = False,
    build: Build = None,
) -> None:
    """Show the numbers that runs recorded, of one or of several as one table.

    For example:

    - `companion results 02_gaussian_mixture`
    - `companion results 02_gaussian_mixture --table --sweep workflow/sweeps/seeds.yml --out seeds.csv`
    - `companion results 04_mnist --table --name quick --name recorded`
    """
    table = table or out is not None
    chosen = _names_in(sweep, Path(notebook).stem) if sweep else []
    chosen += name or ([] if table or sweep else ["quick"])
    runs = side_by_side.find(build or build_folder(), Path(notebook).stem, chosen)
    if out is not None:
        side_by_side.write(side_by_side.frame(runs), out)
        console.print(f"{len(runs)} runs in {out}")
    elif as_json:
        whole = [run.model_dump(mode="json") for run in runs]
        typer.echo(json.dumps(whole if table or len(whole) > 1 else whole[0], indent=1))
    elif table:
        typer.echo(side_by_side.text(runs, console.width))
    else:
        for found in runs:
            _show(found)


def _names_in(sweep: Path, notebook: str) -> list[str]:
    given = presets.load_sweep(sweep)
    if given.notebook != notebook:
        raise ValueError(f"{sweep} is a sweep of {given.notebook}, not of {notebook}")
    return [run for run, _ in given.named()]


def _show(found: results.Results) -> None:
    title = f"{found.notebook}, run {found.run}"
    table = Table(overflowing("number"), "value", "interval", "n", "about", title=title)
    for key, scalar in found.scalars.items():
        bounds = scalar.interval and f"[{scalar.interval[0]:.4g}, {scalar.interval[1]:.4g}] at {scalar.level}"
        table.add_row(
            key, f"{scalar.value:.6g}", escape(bounds or ""), str(scalar.n or ""), escape(scalar.about)
        )
    console.print(table)
    _tell_broken(found)
    console.print(f"commit {found.commit}, {found.hardware}, {found.duration_s:.0f} s")


@app.command("compare")
def compare_builds(
    before: Annotated[Path, typer.Argument(metavar="BEFORE", help="Build folder.")],
    after: Annotated[Path, typer.Argument(metavar="AFTER", help="Another one.")],
    tolerance: Annotated[
        float, typer.Option(help="Relative difference up to which a number is called the same.", min=0)
    ] = 0.0,
    as_json: AsJson = False,
) -> None:
    """Compare all recorded numbers of two build folders, bounds of intervals included.

    Every number that is not the same to the last bit is listed, the one that moved most first. Exit code 1 if
    one differs by more than `--tolerance`, is new or is gone.
    """
    old, new = compare.numbers(before), compare.numbers(after)
    found = compare.differences(old, new)
    beyond = [item for item in found if item.relative > tolerance]
    if as_json:
        typer.echo(json.dumps([asdict(item) for item in found], indent=1))
        raise typer.Exit(1 if beyond else 0)
    table = Table("notebook", "run", overflowing("number"), "before", "after", "relative")
    for item in found:
        values = ["-" if value is None else repr(value) for value in (item.before, item.after)]
        word = "gone" if item.after is None else "new" if item.before is None else f"{item.relative:.2g}"
        table.add_row(item.notebook, item.run, item.key, *values, word)
    if found:
        console.print(table)
    shared = sum(len(flat.keys() & new.get(place, {}).keys()) for place, flat in old.items())
    moved = sum(math.isfinite(item.relative) for item in found)
    console.print(
        f"{shared} numbers in both: {shared - moved} identical to the last bit, {moved} moved; "
        f"{len(found) - moved} new or gone; {len(beyond)} beyond a tolerance of {tolerance:g}"
    )
    raise typer.Exit(1 if beyond else 0)


def overflowing(title: str) -> Column:
    """A column whose words are never cut, but go on in the next line."""
    return Column(title, overflow="fold", min_width=24)
