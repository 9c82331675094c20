"""The schema of `book/claims.yml`: a claim, the numbers that test it, and the verdict.

A test names one number of a run, as `key` of the claim's chapter or `notebook::key`, and one condition on it.
The conditions are a closed set and are compared as data; nothing in the file is ever evaluated as code.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

Verdict = Literal["reproduced", "reproduced in part", "not reproduced", "undecided", "not testable here"]
"""Undecided: every interval is too wide to tell. Not testable here: no number of this book bears on it."""

CONDITIONS = ("above", "below", "within", "covers", "excludes", "greater_than", "less_than", "agrees_with")

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
Key = Annotated[str, Field(pattern=r"^(\w+::)?\w+$")]
Sentence = Annotated[str, Field(min_length=1)]


class Entry(BaseModel):
    """What every entry of the book's data files has in common: no unknown field, and no change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Test(Entry):
    """One condition on one number.

    Where the number has an interval the condition must hold for all of it. `covers` and `excludes` ask
    whether the interval holds a value; `greater_than`, `less_than` and `agrees_with` compare with another
    number, the last by whether the two intervals meet.
    """

    __test__ = False  # not a test of this project's suite, whatever its name

    key: Key
    above: float | None = None
    below: float | None = None
    within: tuple[float, float] | None = None
    covers: float | None = None
    excludes: float | None = None
    greater_than: Key | None = None
    less_than: Key | None = None
    agrees_with: Key | None = None

    @model_validator(mode="after")
    def _one_condition(self) -> Self:
        given = [name for name in CONDITIONS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"{self.key} needs exactly one condition of {', '.join(CONDITIONS)}, got {given or 'none'}"
            )
        return self

    @property
    def condition(self) -> tuple[str, Any]:
        """Name and operand of the condition."""
        return next((name, value) for name in CONDITIONS if (value := getattr(self, name)) is not None)


class Claim(Entry):
    """A claim of the paper, and what this book has to say about it."""

    id: Name
    where: Sentence
    claim: Sentence
    chapter: str | None = None
    tests: tuple[Test, ...] = ()
    published: str = ""
    verdict: Verdict
    note: str = ""
    why: str = ""
    command: str = ""

    @model_validator(mode="after")
    def _tested_or_not(self) -> Self:
        if self.verdict == "not testable here":
            if self.tests or not (self.why and self.command):
                raise ValueError(
                    f"{self.id} is not testable here: it needs `why` and `command`, and no `tests`"
                )
        elif not (self.tests and self.chapter) or self.why or self.command:
            raise ValueError(
                f"{self.id} has a verdict: it needs `chapter` and `tests`, and neither `why` nor `command`"
            )
        return self


class Ledger(Entry):
    """All claims, and the preset whose runs the verdicts are about."""

    preset: str
    claims: tuple[Claim, ...]

    @model_validator(mode="after")
    def _ids_are_unique(self) -> Self:
        ids = [claim.id for claim in self.claims]
        twice = sorted({name for name in ids if ids.count(name) > 1})
        if twice:
            raise ValueError(f"ids must be unique, these are not: {', '.join(twice)}")
        return self


Schema = TypeVar("Schema", bound=BaseModel)


def read(path: Path, schema: type[Schema]) -> Schema:
    """Read and validate a YAML file; `ValueError` names the file and every fault."""
    if not path.is_file():
        raise ValueError(f"{path} is not there; it is part of the repository, get it back from there")
    try:
        return schema.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not valid YAML: {error}") from error
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors())
        raise ValueError(f"{path} does not fit its schema ({faults})") from error


def load_ledger(path: Path) -> Ledger:
    """Read and validate a ledger of claims."""
    return read(path, Ledger)
