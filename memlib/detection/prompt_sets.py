"""Prompts whose truth is known, by family, and the questions that are put to a statistic with them.

Of the model organism it is known what was copied and how often; of the published prompts it is known what
their authors call memorized.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from jaxtyping import Float64
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from memlib.datasets import prompts
from memlib.detection.asthana import Anisotropy
from memlib.detection.evaluation import Evaluation, evaluate
from memlib.organism.captions import Caption, captions

FEW, HELD_OUT, HELD_BACK = "exact, few copies", "{}, held out", "{}, held back"
MEMORIZED, OTHERS = "memorized", "others"
_EVERY = 10  # one of so many published prompts is held back


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

    def rows(self, families: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The places in `families` that the question is about, and which of them are memorized."""
        return _rows(families, self.memorized, self.others)

    def judge(
        self, families: Sequence[str], scores: ArrayLike, *, larger: bool = True, seed: int = 0
    ) -> Evaluation:
        """How well `(P, n)` scores of prompts of these P families answer the question; see `evaluate`."""
        rows, labels = self.rows(families)
        return evaluate(np.asarray(scores)[rows], labels, larger=larger, seed=seed)

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
        families: of each.
        doses: how often the same content was seen under each; 0 where nothing was copied or it is not known.
        questions: that can be asked.
        calibration: the family of harmless captions, none of them in a question.
    """

    captions: tuple[str, ...]
    families: tuple[str, ...]
    doses: tuple[int, ...]
    questions: tuple[Question, ...]
    calibration: str

    def first(self, counts: Mapping[str, int]) -> list[int]:
        """Places of the first so many captions of each family, family by family.

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


def organism(dose: int = 100) -> PromptSet:
    """All captions of the model organism.

    Its families are "exact", "template", "general", "stated", those of the last two that were held out, and
    "exact, few copies".

    Args:
        dose: number of copies from which on a caption of one image counts as memorized.

    Raises:
        ValueError: nothing was copied so often.
    """

    def family(caption: Caption) -> str:
        if caption.held_out:
            return HELD_OUT.format(caption.family)
        return FEW if caption.family == "exact" and caption.dose < dose else caption.family

    known = captions()
    families = tuple(map(family, known))
    if "exact" not in families:
        raise ValueError(
            f"no image was copied {dose} times; the largest dose is {max(c.dose for c in known)}"
        )
    unseen = (HELD_OUT.format("general"),)
    by_template, by_exact = (("template",), unseen), (("exact",), unseen)
    return PromptSet(
        tuple(caption.text for caption in known),
        families,
        tuple(caption.dose for caption in known),
        (
            Question("exact_general", ("exact",), ("general",), by_template),
            Question("template_general", ("template",), ("general",), by_exact),
            Question("exact_stated", ("exact",), ("stated",), by_template),
            Question("template_stated", ("template",), ("stated",), by_exact),
            Question("stated_general", ("stated",), ("general",), by_template),
        ),
        *unseen,
    )


def published(version: prompts.Version, folder: Path | None = None) -> PromptSet:
    """The prompts of the paper's table 1, one in ten held back for fits and calibrations.

    Args:
        version: "sd1" or "sd2".
        folder: of the files; None fetches them. See `memlib.datasets.prompts.published`.
    """
    if version not in get_args(prompts.Version):
        raise ValueError(f"prompts must be 'organism', 'sd1' or 'sd2', got {version!r}")
    given = prompts.published(version, folder)
    kinds = [MEMORIZED if prompt.memorized else OTHERS for prompt in given]
    families = tuple(
        HELD_BACK.format(kind) if place % _EVERY == 0 else prompt.family
        for place, (prompt, kind) in enumerate(zip(given, kinds, strict=True))
    )
    memorized, others = (
        tuple(dict.fromkeys(prompt.family for prompt in given if prompt.memorized is which))
        for which in (True, False)
    )
    back = (HELD_BACK.format(MEMORIZED),), (HELD_BACK.format(OTHERS),)
    return PromptSet(
        tuple(prompt.text for prompt in given),
        families,
        (0,) * len(given),
        (
            Question("memorized_others", memorized, others, back),
            *(Question(f"memorized_{o.lower().replace('-', '')}", memorized, (o,), back) for o in others),
        ),
        *back[1],
    )


def _rows(
    families: Sequence[str], memorized: tuple[str, ...], others: tuple[str, ...]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    own = np.asarray(families)
    positive, negative = np.isin(own, memorized), np.isin(own, others)
    rows: NDArray[np.int64] = np.flatnonzero(positive | negative)
    return rows, positive[rows]
