"""Commands that put the book together and hold it against its claims."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from companion import archive, claims
from companion.claims import pages
from companion.claims.table import counted
from companion.cli.program import AsJson, Build, PresetName, app
from companion.experiment import again, notebooks, presets, recorded, staging
from companion.experiment.runs import Place, build_folder, failures, scheduler_errors
from companion.paths import project_root
from memlib.cli.program import complain, console

HANDLED = ("04_mnist", "07_latent_spectra", "08_latent_detection")
"""The chapters whose runs figures show that readers handle."""


@app.command()
def stage(preset: PresetName = "quick", build: Build = None) -> None:
    """Put pages, executed notebooks and assets together in `build/stage`, from where the book is built."""
    presets.load(preset)
    root, folder = project_root(), build or build_folder()

    def generate(stage: Path) -> None:
        pages.write_pages(root, preset, folder, stage)
        there = [name for name in HANDLED if (root / "notebooks" / f"{name}.py").is_file()]
        if there:
            from companion import handled  # and torch with it, for which the other commands need not wait

            handled.write({name: Place(folder, name, preset).final for name in there}, stage)

    console.print(str(staging.stage(root, preset, folder, generate)))


@app.command()
def check_book(build: Build = None) -> None:
    """Check that the built book has every page, and outputs on the page of every notebook."""
    folder = build or build_folder()
    staging.check_book(folder / "book" / "_build" / "html", folder / "stage")


@app.command("pdf")
def print_book(
    to: Annotated[Path | None, typer.Option(help="File; default: book.pdf in the build folder.")] = None,
    build: Build = None,
) -> None:
    """Print the built book as one PDF by Chromium, with all that is folded opened."""
    from companion import pdf  # only this command needs a browser

    folder = build or build_folder()
    html = folder / "book" / "_build" / "html"
    console.print(str(pdf.write(html, project_root() / "_toc.yml", to or folder / "book.pdf")))


@app.command("archive")
def pack(
    to: Annotated[Path | None, typer.Option(help="File; default: archive.zip in the build folder.")] = None,
    build: Build = None,
) -> None:
    """Put sources and finished runs into one zip file with checksums, the same to the byte each time."""
    folder = build or build_folder()
    console.print(str(archive.write(project_root(), folder, to or folder / "archive.zip")))


@app.command("claims")
def check_claims(preset: PresetName = "", as_json: AsJson = False, build: Build = None) -> None:
    """Hold the verdicts of `book/claims.yml` against the runs; exit code 1 if one differs.

    Recorded runs (`recorded/`) decide where there are any; those of the preset must not contradict them.
    """
    root = project_root()
    ledger = claims.load_ledger(root / "book" / "claims.yml")
    chapters = [path.stem for path in notebooks.all_notebooks(root / "notebooks")]
    preset = preset or ledger.preset
    runs = claims.load_runs(build or build_folder(), preset, chapters)
    findings = claims.judge_all(ledger, claims.deciding(ledger, preset, runs))
    if as_json:
        kinds = ("id", "where", "claim", "chapter")
        entries = [
            {kind: getattr(finding.claim, kind) for kind in kinds}
            | {"in the ledger": finding.claim.verdict, "by the runs": finding.verdict}
            for finding in findings
        ]
        typer.echo(json.dumps(entries, indent=1))
    else:
        table = Table("claim", "where", "verdict by the runs")
        for finding in findings:
            table.add_row(finding.claim.id, finding.claim.where, finding.verdict)
        console.print(table)
    faults = claims.find_faults(findings)
    faults += claims.contradictions(findings, claims.judge_all(ledger, runs))
    for fault in faults:
        complain.print(escape(fault))
    raise typer.Exit(1 if faults else 0)


@app.command("seeds")
def count_verdicts(
    seeds: Annotated[int, typer.Argument(min=2, help="How many: 1, 2, 3, ...")],
    preset: PresetName = "",
    build: Build = None,
) -> None:
    """Count how often each verdict stands under other seeds, and keep that beside the recorded runs.

    `make claims SEEDS=5` runs the chapters with the seeds and then calls this.
    """
    root = project_root()
    ledger = claims.load_ledger(root / "book" / "claims.yml")
    chapters = [path.stem for path in notebooks.all_notebooks(root / "notebooks")]
    each = range(1, seeds + 1)
    found = claims.seeds.repeat(ledger, build or build_folder(), preset or ledger.preset, chapters, each)
    table = Table("claim", "in the ledger", f"under {seeds} other seeds")
    for claim in ledger.claims:
        if claim.id in found.verdicts:
            table.add_row(claim.id, claim.verdict, counted(found.verdicts[claim.id]))
    console.print(table)
    console.print(str(claims.seeds.keep(found)))


@app.command("again")
def compare_again(preset: PresetName = "quick", build: Build = None) -> None:
    """Compare repeated runs with those of a preset: the same once more, on two threads, without AVX-512.

    `make again` repeats the runs and then calls this. Exit code 1 if a number of the first is not the same to
    the last bit, or one of the others moved further than its uncertainty lets one notice.
    """
    chapters = [path.stem for path in notebooks.all_notebooks(project_root() / "notebooks")]
    table = Table("runs", "how", "numbers", "moved", "furthest", "apart")
    every = {name: again.compared(build or build_folder(), preset, name, chapters) for name in again.VARIANTS}
    for name, found in every.items():
        furthest = f"{found.moved[0].relative:.1e}" if found.moved else "0"
        counts = (found.shared, len(found.moved), furthest, len(found.apart))
        table.add_row(name, again.VARIANTS[name].about, *map(str, counts))
    console.print(table)
    for name, found in every.items():
        for item in found.apart:
            complain.print(escape(f"{name}, {item.notebook}: {item.key} was {item.before}, is {item.after}"))
    raise typer.Exit(1 if any(found.apart for found in every.values()) else 0)


@app.command()
def record(
    notebook: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NOTEBOOK]...", help="Which ones; default: all that the preset names."),
    ] = None,
    build: Build = None,
) -> None:
    """Keep the finished runs of the preset `recorded` in `recorded/`, where the verdicts are read from.

    `make record` makes the runs and then calls this. For a single one:

    - `companion run 04_mnist --preset recorded`
    - `companion record 04_mnist`
    """
    for name in notebook or presets.load(recorded.PRESET).notebooks:
        place = Place(build or build_folder(), notebooks.find(name).stem, recorded.PRESET)
        console.print(str(recorded.keep(place)))


@app.command("failures")
def show_failures(
    build: Build = None,
    since: Annotated[
        float | None,
        typer.Option(help="Only what happened since this time, in seconds since 1970 (`date +%s`)."),
    ] = None,
) -> None:
    """Say which runs failed and where their partial output is; exit code 1 if there are any.

    With `--since`, as `make` calls it, and no failed run, it shows what Snakemake's log says of errors.
    """
    messages = failures(build or build_folder(), since or 0.0)
    if since is not None and not messages:
        messages = scheduler_errors(project_root(), since)
    for message in messages:
        complain.print(escape(message))
    raise typer.Exit(1 if messages else 0)
