"""How often each verdict stands when everything but the training is drawn anew.

A run with fixed seeds is a regression test: it says the same each time. Here the chapters run again with
other seeds, the verdicts are taken from these runs alone, and are counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from companion.claims.ledger import Entry, Ledger, Verdict
from companion.claims.verdicts import judge_what_is_there, load_runs
from companion.experiment import names, recorded
from memlib.files import write_text

FILE = "seeds.json"


class Repetition(Entry):
    """Verdicts under other seeds.

    Attributes:
        preset: whose runs were repeated.
        seeds: the seeds.
        commit: of the code that ran.
        hardware: where it ran.
        verdicts: claim -> verdict -> under how many seeds.
    """

    preset: str
    seeds: list[int]
    commit: str
    hardware: str
    verdicts: dict[str, dict[Verdict, int]]


def run_name(seed: int) -> str:
    """The name of a chapter's run with a seed."""
    return names.automatic({"seed": seed})


def repeat(
    ledger: Ledger, build: Path, preset: str, chapters: Iterable[str], seeds: Iterable[int]
) -> Repetition:
    """Count the verdicts of the runs that are there for each seed; `ValueError` if a run is missing."""
    given, chapters = list(seeds), list(chapters)
    counts: dict[str, Counter[Verdict]] = {claim.id: Counter() for claim in ledger.claims if claim.tests}
    for seed in given:
        runs = load_runs(build, run_name(seed), chapters)
        for claim in ledger.claims:
            if claim.tests:
                counts[claim.id][judge_what_is_there(claim, runs)] += 1
    one = next(iter(runs.values()))
    verdicts = {name: dict(count) for name, count in counts.items()}
    return Repetition(preset=preset, seeds=given, commit=one.commit, hardware=one.hardware, verdicts=verdicts)


def keep(repetition: Repetition, where: Path | None = None) -> Path:
    """Write it beside the recorded runs."""
    path = (where or recorded.folder()) / FILE
    write_text(path, repetition.model_dump_json(indent=1) + "\n")
    return path


def load(where: Path | None = None) -> Repetition | None:
    """What was kept; None if nothing was."""
    path = (where or recorded.folder()) / FILE
    return Repetition.model_validate_json(path.read_bytes()) if path.is_file() else None
