"""The schema of `book/claims.yml`: a claim, the numbers that test it, the verdict, and what it was tested on.

A test names one number of a run, as `key` of the claim's chapter or `notebook::key`, and one condition on it.
The conditions are a closed set and are compared as data; nothing in the file is ever evaluated as code.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar, cast

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from companion.claims.conditions import Range

Verdict = Literal["reproduced", "reproduced in part", "not reproduced", "undecided", "not testable here"]
"""Undecided: no interval lies on one side. Not testable here: no number of this book bears on it."""

CONDITIONS = ("above", "below", "within", "greater_than", "less_than", "equals")

BEYOND = "Not in the paper"
"""How `where` begins for what goes beyond the paper."""

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
Key = Annotated[str, Field(pattern=r"^(\w+::)?\w+$")]
Sentence = Annotated[str, Field(min_length=1)]


class Entry(BaseModel):
    """What every entry of the book's data files has in common: no unknown field, and no change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Test(Entry):
    """One condition on one number, which decides only if all of its interval lies on one side.

    `above`, `below` and `within` are bounds. `greater_than`, `less_than` and `equals` compare with another
    number, through the interval of the difference: it has to lie beyond `margin`, or for `equals` inside it.
    The bound, or the margin, is the effect that matters, and is chosen before the run.
    """

    __test__ = False  # not a test of this project's suite, whatever its name

    key: Key
    above: float | None = None
    below: float | None = None
    within: tuple[float, float] | None = None
    greater_than: Key | None = None
    less_than: Key | None = None
    equals: Key | None = None
    margin: Annotated[float, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _one_condition(self) -> Self:
        given = [name for name in CONDITIONS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"{self.key} needs exactly one condition of {', '.join(CONDITIONS)}, got {given or 'none'}"
            )
        if self.margin is None and self.equals:
            raise ValueError(f"{self.key} equals {self.equals} within which margin? Give `margin`")
        if self.margin is not None and self.other is None:
            raise ValueError(f"{self.key}: `margin` goes with greater_than, less_than and equals alone")
        return self

    @property
    def condition(self) -> str:
        """Name of the condition."""
        return next(name for name in CONDITIONS if getattr(self, name) is not None)

    @property
    def other(self) -> str | None:
        """The number that is compared with, if there is one."""
        return self.greater_than or self.less_than or self.equals

    @property
    def range(self) -> Range:
        """Values that the number, or its difference to the other one, may have."""
        margin = self.margin or 0.0
        match self.condition:
            case "above":
                return Range(low=cast(float, self.above))
            case "below":
                return Range(high=cast(float, self.below))
            case "within":
                return Range(*cast(tuple[float, float], self.within), closed=True)
            case "greater_than":
                return Range(low=margin)
            case "less_than":
                return Range(high=-margin)
            case _:
                return Range(-margin, margin, closed=True)


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


class Model(Entry):
    """What the claims of some chapters are tested on.

    Attributes:
        name: in a word or two.
        chapters: those of its claims; None stands for claims without a chapter.
        stand_in: whether it takes the place of a model of the paper.
    """

    name: Sentence
    chapters: tuple[str | None, ...]
    stand_in: bool = False


class Ledger(Entry):
    """All claims, what they are tested on, and the preset whose runs the verdicts are about."""

    preset: str
    models: tuple[Model, ...] = (Model(name="Stable Diffusion", chapters=(None,)),)
    claims: tuple[Claim, ...]

    def model(self, claim: Claim) -> Model:
        """What a claim is tested on; `ValueError` if `models` does not say."""
        for model in self.models:
            if claim.chapter in model.chapters:
                return model
        raise ValueError(f"{claim.id} is tested in {claim.chapter}: name it under `models` in the ledger")

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
