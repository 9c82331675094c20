"""Command line of memlib: arguments to calls, nothing else."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from memlib import __version__, claims
from memlib.claims import pages
from memlib.experiment import driver, notebooks, parameters, presets, provenance, results, staging
from memlib.experiment.files import project_root
from memlib.experiment.runs import Place, RunError, build_folder, failures

app = typer.Typer(
    name="memlib",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
console = Console(soft_wrap=True)
complain = Console(stderr=True, soft_wrap=True, highlight=False)

Notebook = Annotated[
    str,
    typer.Argument(
        metavar="NOTEBOOK", help="Name such as 02_gaussian_mixture, or a path to a text notebook."
    ),
]
PresetName = Annotated[
    str, typer.Option("--preset", help="Preset with the parameters; see `memlib presets`.")
]
Build = Annotated[Path | None, typer.Option("--build", help="Build folder; default: build/ of the clone.")]


def main() -> None:
    """Entry point: errors a user can act on are printed plainly, with exit code 1."""
    with _plain_errors():
        app()


@contextmanager
def _plain_errors() -> Iterator[None]:
    try:
        yield
    except (ValueError, RunError) as error:
        complain.print(f"[bold red]error:[/] {escape(str(error))}")
        sys.exit(1)


def _version(show: bool) -> None:
    if show:
        console.print(f"memlib {__version__}")
        raise typer.Exit


@app.callback()
def about(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Memorization in generative models, measured through the sharpness of their probability landscape.

    Start with `memlib notebooks`, look at one with `memlib parameters 02_gaussian_mixture`, and run it with
    other values: `memlib run 02_gaussian_mixture -p seed=1`.
    """


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
    timeout: Annotated[int | None, typer.Option(help="Seconds one cell may take.", min=1)] = None,
    build: Build = None,
) -> None:
    """Execute a notebook and keep its results in `build/runs/NOTEBOOK/NAME`.

    For example:

    - `memlib run 02_gaussian_mixture`
    - `memlib run 04_mnist --preset full`
    - `memlib run 04_mnist -p samples=20 -p device=cuda --name twenty`
    """
    path = notebooks.find(notebook)
    chosen = presets.load(preset)
    given = parameters.from_text(parameters.read(path), _pairs(parameter or []))
    overrides = {**chosen.overrides(path.stem), **_of_sweep(sweep, name), **given}
    run_name = name or ",".join(f"{key}={value}" for key, value in given.items()) or preset
    parameters.check(parameters.read(path), overrides)
    console.print(f"{path.stem} ({run_name}): running")
    found = driver.execute(
        path, overrides, run=run_name, preset=preset, build=build, timeout=timeout or chosen.timeout
    )
    place = Place(build or build_folder(), path.stem, run_name)
    console.print(f"{path.stem} ({run_name}): {found.duration_s:.0f} s, results in {place.final}")


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
def show_parameters(notebook: Notebook) -> None:
    """Show the parameters of a notebook, without running it."""
    table = Table("parameter", "type", "default", "meaning")
    for item in parameters.read(notebooks.find(notebook)):
        table.add_row(item.name, item.type, "(required)" if item.required else repr(item.default), item.help)
    console.print(table)


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
    name: Annotated[str, typer.Option(help="Name of the run.")] = "quick",
    build: Build = None,
) -> None:
    """Show the numbers that a run recorded."""
    found = results.load(Place(build or build_folder(), Path(notebook).stem, name).final)
    table = Table("number", "value", "interval", "n", "about", title=f"{found.notebook}, run {found.run}")
    for key, scalar in found.scalars.items():
        bounds = scalar.interval and f"[{scalar.interval[0]:.4g}, {scalar.interval[1]:.4g}] at {scalar.level}"
        table.add_row(
            key, f"{scalar.value:.6g}", escape(bounds or ""), str(scalar.n or ""), escape(scalar.about)
        )
    console.print(table)
    console.print(f"commit {found.commit}, {found.hardware}, {found.duration_s:.0f} s")


@app.command()
def train(
    checkpoint: Annotated[
        str, typer.Argument(metavar="CHECKPOINT", help="Name of a shipped checkpoint; leave out for a list.")
    ] = "",
    to: Annotated[
        Path | None,
        typer.Option(help="Folder; default: build/checkpoints/CHECKPOINT. Training resumes there."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Train a checkpoint that ships, anew, from its recipe.

    Call it again after an interruption and it goes on where it was. For example:

    - `memlib train`
    - `memlib train two_modes`
    - `memlib train mnist_copies --to data/checkpoints/mnist_copies` replaces the one that ships
    """
    from memlib.recipes import RECIPES  # with torch, which the other commands do without

    if checkpoint not in RECIPES:
        table = Table("checkpoint", "steps", "took", "on", "what")
        for name, recipe in RECIPES.items():
            card = recipe.load().card
            where = f"{card['machine']['device']}, {card['machine']['threads']} threads"
            table.add_row(
                name, str(recipe.training.steps), f"{card['seconds'] / 60:.0f} min", where, recipe.about
            )
        console.print(table)
        if checkpoint:
            raise ValueError(f"no checkpoint is called {checkpoint!r}; choose one of {', '.join(RECIPES)}")
        return
    folder = to or build_folder() / "checkpoints" / checkpoint
    RECIPES[checkpoint].train(folder, device=provenance.resolve_device(device))
    console.print(str(folder))


@app.command()
def stage(preset: PresetName = "quick", build: Build = None) -> None:
    """Put pages, executed notebooks and assets together in `build/stage`, from where the book is built."""
    presets.load(preset)
    root, folder = project_root(), build or build_folder()
    generate = partial(pages.write_pages, root, preset, folder)
    console.print(str(staging.stage(root, preset, folder, generate)))


@app.command()
def check_book(build: Build = None) -> None:
    """Check that the built book has every page, and outputs on the page of every notebook."""
    folder = build or build_folder()
    staging.check_book(folder / "book" / "_build" / "html", folder / "stage")


@app.command("claims")
def check_claims(preset: PresetName = "", build: Build = None) -> None:
    """Hold the verdicts of `book/claims.yml` against the runs; exit code 1 if one differs."""
    root = project_root()
    ledger = claims.load_ledger(root / "book" / "claims.yml")
    chapters = [path.stem for path in notebooks.all_notebooks(root / "notebooks")]
    runs = claims.load_runs(build or build_folder(), preset or ledger.preset, chapters)
    findings = claims.judge_all(ledger, runs)
    table = Table("claim", "where", "verdict by the runs")
    for finding in findings:
        table.add_row(finding.claim.id, finding.claim.where, finding.verdict)
    console.print(table)
    faults = claims.find_faults(findings)
    for fault in faults:
        complain.print(escape(fault))
    raise typer.Exit(1 if faults else 0)


@app.command("failures")
def show_failures(build: Build = None) -> None:
    """Say which runs failed and where their partial output is; exit code 1 if there are any."""
    messages = failures(build or build_folder())
    for message in messages:
        complain.print(escape(message))
    raise typer.Exit(1 if messages else 0)
