"""`python -m benchmarks`: run, print tables, write the results of a whole run."""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from benchmarks import (
    audit,
    captions,
    families,
    full_size,
    growth,
    krylov,
    one_step,
    others,
    passes,
    products,
    screening,
    solvers,
    spectrum,
    throughput,
    traces,
)
from benchmarks.rows import Results, Row, machine, origin
from benchmarks.setting import SHIPPED, TINY, Bench, Sizes
from benchmarks.text_to_image import described
from companion.recipes.catalogue import RECIPES
from memlib import checks
from memlib.files import sha256
from memlib.networks.checkpoint import WEIGHTS

SUITES: dict[str, tuple[ModuleType, ...]] = {
    "hessian": (products, krylov, spectrum, solvers, others, passes, growth, traces),
    "latent": (one_step, screening, captions),
    "models": (families, throughput),
    "audit": (audit,),
    "full-size": (full_size,),
}
DEFAULT = ("hessian", "latent")
Suite = StrEnum("Suite", list(SUITES))  # type: ignore[misc]  # mypy wants a literal list
Name = StrEnum("Name", [each.NAME for suite in SUITES.values() for each in suite])  # type: ignore[misc]
RESULTS = Path(__file__).parent / "results"


def measure(
    suite: str,
    sizes: Sizes,
    device: str,
    rounds: int,
    say: Callable[[str], None],
    only: list[str] | None = None,
    keep: Callable[[Results], object] = lambda _: None,
) -> Results:
    """Run the benchmarks of a suite, or only some of them, and return all rows with their origin.

    After each benchmark `keep` is given what there is, so that a run that is cut short leaves something.
    """
    start, bench = time.perf_counter(), Bench(sizes, device, rounds)
    results = Results(
        suite=suite,
        machine=machine(device),
        checkpoint=checkpoint(suite, sizes),
        sizes={**vars(sizes), "rounds": rounds},
        seconds=0,
        rows=(),
        **origin(),
    )
    for each in SUITES[suite]:
        if only is None or each.NAME in only:
            bench.say = partial(_prefixed, say, each.NAME)
            rows = (*results.rows, *each.run(bench))
            seconds = round(time.perf_counter() - start, 1)
            results = results.model_copy(update={"rows": rows, "seconds": seconds})
            keep(results)
            say("")
    return results


def checkpoint(suite: str, sizes: Sizes) -> str:
    """What is timed, with the hash of its weights."""
    if suite == "models":
        return ", ".join(described(network) for network, _ in sizes.models)
    if suite != "hessian":
        return described(sizes.full_size if suite == "full-size" else sizes.organism)
    recipe = RECIPES.get(sizes.network)
    return f"{sizes.network} {sha256(recipe.folder / WEIGHTS)}" if recipe else sizes.network


def _prefixed(say: Callable[[str], None], name: str, what: str) -> None:
    say(f"{name}: {what}")


def table(title: str, rows: list[Row]) -> Table:
    """The rows of one benchmark for a terminal; notes stand below."""
    shown = Table(title=title, title_justify="left", title_style="bold", show_lines=True, expand=True)
    shown.add_column("what, in which setting", ratio=4)
    shown.add_column("instead of", ratio=4)
    for header in ("time", "ratio (range)", "target"):
        shown.add_column(header, justify="right", ratio=2)
    for row in rows:
        shown.add_row(
            f"{row.what}\n[dim]{row.setting}[/dim]",
            f"{row.instead_of}\n[dim]{_details(row)}[/dim]",
            f"{_seconds(row.seconds)}\n{_seconds(row.seconds_instead)}",
            ""
            if row.ratio is None
            else f"{row.ratio:.3g} ({row.low:.3g}-{row.high:.3g})\n[dim]{row.reads}[/dim]",
            "" if row.met is None else f"{row.target}\n{'[green]met' if row.met else '[red]missed'}",
        )
    notes = [f"{row.what}, {row.instead_of}: {row.note}" for row in rows if row.note]
    shown.caption, shown.caption_justify = escape("\n".join(notes)), "left"
    return shown


def _details(row: Row) -> str:
    parts = []
    if row.agreement is not None:
        parts.append(f"agree to {row.agreement:.0e}")
    if row.megabytes is not None:
        beside = "" if row.megabytes_instead is None else f" beside {row.megabytes_instead:.0f}"
        parts.append(f"{row.megabytes:.0f}{beside} MB")
    return ", ".join(parts)


def _seconds(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.2f} s" if value >= 1 else f"{1e3 * value:.3g} ms"


def main(
    suite: Annotated[
        list[Suite] | None,
        typer.Option(help="Run this suite; may be given several times. Without it hessian and latent run."),
    ] = None,
    only: Annotated[
        list[Name] | None, typer.Option(help="Run this benchmark alone; may be given several times.")
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Timed rounds of each comparison.")] = 4,
    device: Annotated[str, typer.Option(help='"auto", "cpu" or "cuda".')] = "auto",
    tiny: Annotated[bool, typer.Option(help="A tiny random network: tries every line in seconds.")] = False,
    output: Annotated[
        Path | None, typer.Option(help="Folder for the results; a whole run writes to benchmarks/results.")
    ] = None,
) -> None:
    """Time memlib's routines beside what one would use instead."""
    console, device = Console(), checks.device(device)
    console.width = max(console.width, 120)  # a pipe counts as 80 columns
    chosen = [each.value for each in suite] if suite else list(SUITES if only else DEFAULT)
    names = [name.value for name in only] if only else None
    groups = {each: [g.NAME for g in SUITES[each] if names is None or g.NAME in names] for each in chosen}
    groups = {each: inside for each, inside in groups.items() if inside}
    columns = TextColumn("{task.description}"), BarColumn(20), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("starting", total=sum(map(len, groups.values())))

        def say(what: str) -> None:
            progress.update(task, description=what, advance=0 if what else 1)

        for each, inside in groups.items():
            folder = output or (None if only or tiny else RESULTS)
            keep = partial(Results.write, folder=output) if output else lambda _: None
            results = measure(each, TINY if tiny else SHIPPED, device, repeats, say, inside, keep)
            console.print(f"{each}: {results.machine.name}, {results.seconds:.0f} s")
            for name in inside:
                console.print(table(name, [row for row in results.rows if row.benchmark == name]))
            if folder is None:
                console.print("Not written: only a whole suite is, or one with --output FOLDER.")
            else:
                console.print(f"Written to {results.write(folder)}")


if __name__ == "__main__":
    typer.run(main)
