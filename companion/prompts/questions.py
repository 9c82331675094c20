"""Which prompts a statistic is to tell from which others, and how well it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float64
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from memlib.detection.asthana import Anisotropy
from memlib.detection.evaluation import Evaluation, evaluate


@dataclass(frozen=True)
class Question:
    """Which prompts a statistic is asked to tell from which.

    Attributes:
        name: fit for a file, such as "exact_general".
        memorized: families of the positive class.
        others: families of the negative class.
        fit: families of both classes on which weights may be fitted; none of them is in the question.
    """

    name: str
    memorized: tuple[str, ...]
    others: tuple[str, ...]
    fit: tuple[tuple[str, ...], tuple[str, ...]]

    @property
    def words(self) -> str:
        """The name for readers, such as "exact against general"."""
        return self.name.replace("_", " against ")

    def rows(self, families: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The places in `families` that the question is about, and which of them are memorized."""
        return _rows(families, self.memorized, self.others)

    def judge(
        self, families: Sequence[str], scores: ArrayLike, *, higher_is_memorized: bool = True, seed: int = 0
    ) -> Evaluation:
        """How well `(P, n)` scores of prompts of these P families answer the question; see `evaluate`."""
        rows, labels = self.rows(families)
        return evaluate(np.asarray(scores)[rows], labels, higher_is_memorized=higher_is_memorized, seed=seed)

    def fitted(
        self, families: Sequence[str], cosines: Float64[Tensor, "P n"], norms: Float64[Tensor, "P n"]
    ) -> Anisotropy:
        """Weights from the families set apart for it; as many prompts of either class, the first ones."""
        rows, labels = _rows(families, *self.fit)
        count = min(labels.sum(), (~labels).sum())
        rows = np.concatenate([rows[labels][:count], rows[~labels][:count]])
        return Anisotropy.fit(cosines[rows], norms[rows], torch.arange(len(rows)) < count)


@dataclass(frozen=True)
class PromptSet:
    """P captions.

    Attributes:
        captions: what the model reads.
        families: the family of each caption.
        copies: how often the same content was seen under each; 0 where nothing was copied or it is not known.
        questions: that can be asked.
        calibration: the family of harmless captions, none of them in a question.
    """

    captions: tuple[str, ...]
    families: tuple[str, ...]
    copies: tuple[int, ...]
    questions: tuple[Question, ...]
    calibration: str

    @property
    def judged(self) -> tuple[str, ...]:
        """Families that are in a question."""
        return self._some({f for q in self.questions for f in (*q.memorized, *q.others)})

    @property
    def memorized(self) -> tuple[str, ...]:
        """Families that are in the positive class of a question, and in the negative one of none."""
        others = {f for q in self.questions for f in q.others}
        return self._some({f for q in self.questions for f in q.memorized} - others)

    @property
    def apart(self) -> tuple[str, ...]:
        """Families on which weights are fitted, in no question and not for calibration."""
        fitted = {f for q in self.questions for side in q.fit for f in side}
        return self._some(fitted - {*self.judged, self.calibration})

    def _some(self, families: set[str]) -> tuple[str, ...]:
        return tuple(family for family in dict.fromkeys(self.families) if family in families)

    def texts(self, places: Sequence[int]) -> list[str]:
        """The captions at some places."""
        return [self.captions[place] for place in places]

    def placed(self, places: Sequence[int], values: ArrayLike) -> NDArray[np.float64]:
        """Values `(p, n)` at p places, as `(P, n)` values of all captions with nan elsewhere."""
        given = np.asarray(values, dtype=np.float64)
        found = np.full((len(self.captions), given.shape[1]), np.nan)
        found[places] = given
        return found

    def first(self, counts: Mapping[str, int]) -> list[int]:
        """Places of the first `count` captions of each family, family by family.

        Raises:
            ValueError: a family that is not there, or a negative number.
        """
        if unknown := set(counts) - set(self.families):
            raise ValueError(f"no family is called {min(unknown)!r}; there are {sorted(set(self.families))}")
        if min(counts.values(), default=0) < 0:
            raise ValueError(f"numbers of captions cannot be negative, got {dict(counts)}")
        return [
            place
            for family, count in counts.items()
            for place in [i for i, own in enumerate(self.families) if own == family][:count]
        ]


@dataclass(frozen=True, eq=False)
class Scores:
    """Values of statistics on a set of prompts, and what they say to its questions.

    Attributes:
        prompts: P of them.
        values: statistic -> `(P, n)`, nan for prompts at which it was not measured; n may differ.
        higher_is_memorized: statistic -> whether larger values mean memorized.
        fitted: statistic -> (cosines, norms), names in `values` of the parts of an `Anisotropy` whose weights
            are fitted for every question, on prompts that are in no comparison with those judged.
    """

    prompts: PromptSet
    values: Mapping[str, NDArray[np.float64]]
    higher_is_memorized: Mapping[str, bool]
    fitted: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def seeds(self, name: str) -> int:
        """At how many seeds a statistic was measured."""
        return min(len(self.values[part][0]) for part in self.fitted.get(name, (name,)))

    def places(self, *names: str) -> list[int]:
        """Places of the prompts at which all of these statistics were measured."""
        parts = [self.values[part] for name in names for part in self.fitted.get(name, (name,))]
        there = np.logical_and.reduce([np.isfinite(part).all(axis=1) for part in parts])
        return np.flatnonzero(there).tolist()

    def of(self, question: Question, name: str, count: int) -> NDArray[np.float64]:
        """Values `(P, count)` of a statistic at the first seeds."""
        if name not in self.fitted:
            return self.values[name][:, :count]
        parts = [self.values[part][:, :count] for part in self.fitted[name]]
        missing = np.logical_or.reduce(np.isnan(np.stack(parts)), axis=(0, 2))
        cosines, norms = (torch.from_numpy(np.nan_to_num(part)) for part in parts)
        weights = question.fitted(self._known_where(~missing), cosines, norms)
        return np.where(missing[:, None], np.nan, weights.of(cosines, norms).numpy())

    def judge(
        self, question: Question, name: str, count: int, *, among: Sequence[int] | None = None, seed: int = 0
    ) -> Evaluation:
        """How well a statistic answers a question.

        Args:
            question: one of the set's.
            name: the name of the statistic.
            count: number of seeds.
            among: places of prompts that are looked at; None takes all at which the statistic was measured.
            seed: the seed of the bootstrap.
        """
        scores = self.of(question, name, count)
        there = np.logical_and.reduce(np.isfinite(scores), axis=1)
        if among is not None:
            there &= np.isin(np.arange(len(there)), among)
        higher_is_memorized = self.higher_is_memorized[name]
        return question.judge(
            self._known_where(there), scores, higher_is_memorized=higher_is_memorized, seed=seed
        )

    def _known_where(self, there: NDArray[np.bool_]) -> list[str]:
        """The families, nobody's for prompts that are not looked at."""
        return [own if here else "" for own, here in zip(self.prompts.families, there, strict=True)]


def _rows(
    families: Sequence[str], memorized: tuple[str, ...], others: tuple[str, ...]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    own = np.asarray(families)
    positive, negative = np.isin(own, memorized), np.isin(own, others)
    rows: NDArray[np.int64] = np.flatnonzero(positive | negative)
    return rows, positive[rows]
