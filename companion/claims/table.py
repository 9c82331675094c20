"""The ledger as its page shows it: one line a claim, which opens, in groups by what the claim was tested on.

Each entry carries its verdict, its model and the parts of the paper as classes, by which the page filters.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import get_args

from companion import digits
from companion.claims.ledger import BEYOND, CONDITIONS, Claim, Ledger, Verdict
from companion.claims.seeds import Repetition
from companion.claims.verdicts import Finding, Measurement
from companion.experiment.results import Scalar

WORDS = dict(
    zip(
        CONDITIONS,
        ("above", "below", "within", "greater than", "less than", "equal to"),
        strict=True,
    )
)


GROUPS = {
    "paper": "As in the paper: theory and its small models, trained anew",
    "stand-in": "On model organisms, in place of Stable Diffusion or on other data",
    "beyond": "Beyond the paper",
    "original": "On the original models, which were not run here",
}
PART = re.compile(r"(Section|Figures?|Table|Algorithm) (\d(?:\.\d)?)|(Lemma|Appendi)")


def render(
    ledger: Ledger,
    findings: Sequence[Finding],
    quick: Sequence[Finding],
    repetition: Repetition | None = None,
) -> str:
    """How many claims have which verdict, a filter, and an entry for each claim.

    Args:
        ledger: which claim was tested on which model.
        findings: by the runs that decide.
        quick: by the runs behind the pages of the book, shown where they are others.
        repetition: verdicts under other seeds.
    """
    counts = Counter(finding.verdict for finding in findings)
    summary = ", ".join(f"**{count}** {verdict}" for verdict, count in counts.most_common())
    models = dict.fromkeys(ledger.model(finding.claim).name for finding in findings)
    named = sorted({part for finding in findings for part in parts(finding.claim)})
    text = f"Of {len(findings)} claims: {summary}.\n\n{_filter(named, models)}"
    for group, title in GROUPS.items():
        entries = [
            _entry(ledger, finding, of_pages, repetition)
            for finding, of_pages in zip(findings, quick, strict=True)
            if _group(ledger, finding.claim) == group
        ]
        text += f"## {title}\n\n{''.join(entries)}" if entries else ""
    return text


def parts(claim: Claim) -> list[str]:
    """The parts of the paper in which a claim stands, such as `Section 4.1`, or that it is in none."""
    plural = {"Lemma": "Lemmas", "Appendi": "Appendices", "Figures": "Figure"}
    found = [
        plural.get(family, family) if family else f"{plural.get(kind, kind)} {number}"
        for kind, number, family in PART.findall(claim.where)
    ]
    return found if not claim.where.startswith(BEYOND) else [BEYOND]


def _group(ledger: Ledger, claim: Claim) -> str:
    if claim.where.startswith(BEYOND):
        return "beyond"
    if claim.chapter is None:
        return "original"
    return "stand-in" if ledger.model(claim).stand_in else "paper"


def _filter(named: Iterable[str], models: Iterable[str]) -> str:
    """Choices that a script shows; without it there is nothing to choose."""
    choices: dict[str, Iterable[str]] = {"part": named, "model": models, "verdict": get_args(Verdict)}
    titles = {"part": "Part of the paper", "model": "Model", "verdict": "Verdict"}
    labels = []
    for name, values in choices.items():
        options = "".join(f'<option value="{name}-{slug(one)}">{escape(one)}</option>' for one in values)
        chosen = f'<select name="{name}"><option value="">all</option>{options}</select>'
        labels.append(f"<label>{titles[name]} {chosen}</label>")
    form = f'<form class="handled ledger" hidden>{"".join(labels)}<output></output></form>'
    return f"```{{raw}} html\n{form}\n```\n\n"


def _entry(ledger: Ledger, finding: Finding, quick: Finding, repetition: Repetition | None) -> str:
    claim, model = finding.claim, ledger.model(finding.claim).name
    kinds: dict[str, list[str]] = {"verdict": [finding.verdict], "model": [model], "part": parts(claim)}
    classes = " ".join(f"{kind}-{slug(one)}" for kind, values in kinds.items() for one in values)
    title = f"{{bdg}}`{finding.verdict}` {claim.claim} *{claim.where} · {model}*"
    options = f":name: {claim.id}\n:class-container: entry claim {classes}\n"
    body = "\n\n".join(filter(None, (_evidence(finding, quick), _said(finding, repetition))))
    return f"::::{{dropdown}} {title}\n{options}\n{body}\n::::\n\n"


def slug(text: str) -> str:
    """A text as part of a class's name."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def shown(scalar: Scalar) -> str:
    """A number with its interval, if that has any width: "1.000 [0.996, 1.004]"."""
    low, high = scalar.low, scalar.high
    if low == high:
        return f"{scalar.value:.4g}"
    spec = digits.supported(low, high, ".15f")
    return f"{scalar.value:{spec}} [{low:{spec}}, {high:{spec}}]"


def _evidence(finding: Finding, quick: Finding) -> str:
    claim = finding.claim
    published = f"Published: {claim.published}" if claim.published else ""
    pairs = zip(finding.measurements, quick.measurements, strict=True)
    lines = [_sentence(one) + _beside(one, other) for one, other in pairs] or [
        claim.why.strip(),
        f"To test it: `{claim.command}`",
    ]
    chapter = chapter_link(claim.chapter) if claim.chapter else ""
    return "\n\n".join(line for line in (*lines, claim.note.strip(), published, chapter) if line)


def _sentence(measurement: Measurement) -> str:
    mark = {"holds": "✓", "fails": "✗", "undecided": "?"}[measurement.outcome]
    about = measurement.scalar.about or measurement.key
    asked = f"{WORDS[measurement.test.condition]} {_operand(measurement)}"
    return f"{mark} {about}: {shown(measurement.scalar)}. Asked: {asked}.{_undecided(measurement)}"


def _beside(measurement: Measurement, quick: Measurement) -> str:
    """The number of the page's own run, where a recorded one decides; empty where that is the same."""
    if measurement == quick:
        return ""
    return f" *Recorded run; on the page {shown(quick.scalar)}: {quick.outcome}.*"


def _operand(measurement: Measurement) -> str:
    """What the number is compared with, and by which margin."""
    test = measurement.test
    if test.other is None or measurement.other is None:
        low, high = test.range.low, test.range.high
        return f"{low:g} to {high:g}" if test.within else f"{low if test.above is not None else high:g}"
    margin = f" by more than {test.margin:g}" if test.margin else ""
    if test.equals:
        margin = f" to within {test.margin:g}"
    return f"`{test.other.rpartition('::')[2]}`, {shown(measurement.other)}{margin}"


def _undecided(measurement: Measurement) -> str:
    """Why a test decides nothing, and what would; empty if it does."""
    if measurement.outcome != "undecided":
        return ""
    n = measurement.estimate.n
    if measurement.estimate.degenerate:
        return f" Undecided: all {n:,} draws are alike, which leaves no room for a difference."
    if measurement.needed is None:
        return " Undecided."
    return f" Undecided with n = {n:,}; about {measurement.needed:,} would decide if the value stayed."


def _said(finding: Finding, repetition: Repetition | None) -> str:
    disagreement = "" if finding.agrees else f"The ledger says: {finding.claim.verdict}."
    found = repetition.verdicts.get(finding.claim.id) if repetition else None
    repeated = f"Small runs with other seeds: {counted(found)}." if found else ""
    return " ".join(filter(None, (disagreement, repeated)))


def counted(verdicts: Mapping[Verdict, int]) -> str:
    """Verdicts with how often each was reached, the most frequent first."""
    return ", ".join(f"{count} {verdict}" for verdict, count in Counter(verdicts).most_common())


def chapter_link(notebook: str) -> str:
    """A link to the chapter, with its title."""
    return f"{{doc}}`../notebooks/{notebook}`"
