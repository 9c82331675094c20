"""Claims as data: what the paper states, the numbers of a run that test it, and whether the verdict holds.

>>> from companion.claims import find_faults, judge_all, load_ledger
"""

from companion.claims import seeds
from companion.claims.ledger import Claim, Ledger, Test, Verdict, load_ledger
from companion.claims.verdicts import (
    Finding,
    contradictions,
    deciding,
    find_faults,
    judge,
    judge_all,
    load_runs,
)

__all__ = [
    "Claim",
    "Finding",
    "Ledger",
    "Test",
    "Verdict",
    "contradictions",
    "deciding",
    "find_faults",
    "judge",
    "judge_all",
    "load_ledger",
    "load_runs",
    "seeds",
]
