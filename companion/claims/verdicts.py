"""What the runs say about each claim, and where that is not what the ledger says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from companion.claims.conditions import Estimate, Outcome
from companion.claims.ledger import Claim, Ledger, Test, Verdict
from companion.experiment import recorded, results
from companion.experiment.results import Results, Scalar
from companion.experiment.runs import Place

Runs = Mapping[str, Results]


class MissingNumberError(ValueError):
    """A run that exists does not hold the number."""


@dataclass(frozen=True)
class Measurement:
    """One test of a claim: the number, where it is from, how the condition came out.

    `other` is the number it was compared with, if the condition names one.
    """

    test: Test
    notebook: str
    key: str
    scalar: Scalar
    other: Scalar | None = None

    @property
    def estimate(self) -> Estimate:
        """What the condition is about: the number, or its difference to the other one."""
        mine = Estimate.of(self.scalar)
        return mine.less(Estimate.of(self.other)) if self.other else mine

    @property
    def outcome(self) -> Outcome:
        """What the interval says about the condition."""
        return self.test.range.outcome(self.estimate)

    @property
    def needed(self) -> int | None:
        """How large n would have to be for a decision; see `Range.needed`."""
        return self.test.range.needed(self.estimate) if self.outcome == "undecided" else None


@dataclass(frozen=True)
class Finding:
    """A claim with its measurements and the verdict that follows from them."""

    claim: Claim
    measurements: tuple[Measurement, ...]
    verdict: Verdict

    @property
    def agrees(self) -> bool:
        """Whether the ledger says what the runs say."""
        return self.verdict == self.claim.verdict


def load_runs(build: Path, preset: str, notebooks: Iterable[str]) -> dict[str, Results]:
    """Results of the preset's run of each notebook; `ValueError` if one is missing or not valid."""
    return {name: results.load(Place(build, name, preset).final) for name in sorted(set(notebooks))}


def deciding(ledger: Ledger, preset: str, runs: Runs) -> Runs:
    """The runs that verdicts rest on: where the ledger's preset is run, recorded ones in their place."""
    return {**runs, **recorded.load_all(runs)} if preset == ledger.preset else runs


def judge_all(ledger: Ledger, runs: Runs) -> list[Finding]:
    """A finding for every claim, in the order of the ledger."""
    return [judge(claim, runs) for claim in ledger.claims]


def judge(claim: Claim, runs: Runs) -> Finding:
    """What the runs say about one claim.

    Raises:
        ValueError: a run or a number the claim names does not exist.
    """
    try:
        measured = tuple(_measure(test, claim.chapter or "", runs) for test in claim.tests)
    except ValueError as error:
        raise ValueError(f"claim {claim.id}: {error}") from error
    return Finding(claim, measured, _verdict([m.outcome for m in measured]))


def judge_what_is_there(claim: Claim, runs: Runs) -> Verdict:
    """The verdict where a number that a run does not hold leaves its test undecided.

    For runs that may draw too little to measure a number, such as no caption with copied and other noises:
    chapters leave such a number out.
    """
    outcomes: list[Outcome] = []
    for test in claim.tests:
        try:
            outcomes.append(_measure(test, claim.chapter or "", runs).outcome)
        except MissingNumberError:
            outcomes.append("undecided")
    return _verdict(outcomes)


def find_faults(findings: Iterable[Finding]) -> list[str]:
    """One line for each claim whose verdict in the ledger is not what the runs say."""
    return [
        f"{f.claim.id}: the ledger says {f.claim.verdict!r}, the runs say {f.verdict!r} ("
        + "; ".join(f"{m.notebook}::{m.key} {m.outcome}" for m in f.measurements)
        + ")"
        for f in findings
        if not f.agrees
    ]


def contradictions(findings: Iterable[Finding], others: Iterable[Finding]) -> list[str]:
    """One line for each condition that holds by the one run and fails by the other: recorded and quick."""
    return [
        f"{finding.claim.id}: {one.notebook}::{one.key} {one.outcome} in the recorded run, "
        f"{two.outcome} in the page's own"
        for finding, other in zip(findings, others, strict=True)
        for one, two in zip(finding.measurements, other.measurements, strict=True)
        if {one.outcome, two.outcome} == {"holds", "fails"}
    ]


def number(reference: str, chapter: str, runs: Runs) -> tuple[str, str, Scalar]:
    """Notebook, key and number behind `key` or `notebook::key`.

    Args:
        reference: `key` or `notebook::key`.
        chapter: the notebook where none is named.
        runs: the results of every notebook.

    Raises:
        ValueError: no such run; `MissingNumberError` if there is no such number in it.
    """
    notebook, _, key = reference.rpartition("::")
    notebook = notebook or chapter
    if notebook not in runs:
        raise ValueError(
            f"no run of {notebook or 'any chapter'} for {reference}; expected one of {', '.join(runs)}"
        )
    scalars = runs[notebook].scalars
    if key not in scalars:
        run = runs[notebook].run
        raise MissingNumberError(
            f"{notebook} (run {run}) records no {key!r}; it records {', '.join(scalars)}"
        )
    return notebook, key, scalars[key]


def _verdict(outcomes: list[Outcome]) -> Verdict:
    if not outcomes:
        return "not testable here"
    if all(outcome == "holds" for outcome in outcomes):
        return "reproduced"
    if any(outcome == "holds" for outcome in outcomes):
        return "reproduced in part"
    return "not reproduced" if "fails" in outcomes else "undecided"


def _measure(test: Test, chapter: str, runs: Runs) -> Measurement:
    notebook, key, scalar = number(test.key, chapter, runs)
    other = number(test.other, chapter, runs)[2] if test.other else None
    return Measurement(test, notebook, key, scalar, other)
