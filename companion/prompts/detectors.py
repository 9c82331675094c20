"""The statistics of the book's Table 1, how they are measured together, and the tables they give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from companion import reported, tables
from companion.prompts.equivalence import equivalence
from companion.prompts.questions import PromptSet, Question, Scores
from memlib import detection
from memlib.detection.evaluation import Evaluation
from memlib.hessian import Product
from memlib.text_to_image import Prompts, TextToImage, generate

if TYPE_CHECKING:
    import pandas as pd

    from companion.experiment import Run


@dataclass(frozen=True)
class Detector:
    """A statistic as a row of the table.

    Attributes:
        method: as `companion.reported` names it.
        title: method and author, for readers.
        steps: how many of the first sampling steps it needs; None for all of them.
        statistic: what is measured; None where weights are fitted to parts that are.
    """

    method: str
    title: str
    steps: int | None
    statistic: detection.Statistic | None

    @property
    def key(self) -> str:
        """Part of the names of recorded numbers."""
        return f"{self.method}_{self.steps or 'all'}"

    def words(self, total: int) -> str:
        """Title and steps, of `total` that a sample takes."""
        steps = self.steps or total
        return f"{self.title}, {steps} step{'s' if steps > 1 else ''}"


@dataclass(frozen=True, eq=False)
class Detectors:
    """The detectors of the table and what is measured for them.

    Attributes:
        rows: in the order of the table.
        parts: further statistics of the first step: what `fitted` needs, and the entropy of every layer.
        layers: keys of those entropies, in the order in which the layers run.
    """

    rows: tuple[Detector, ...]
    parts: dict[str, detection.Statistic]
    layers: tuple[str, ...]

    def at(self, steps: int | None) -> dict[str, detection.Statistic]:
        """The statistics that need so many steps."""
        return {d.key: d.statistic for d in self.rows if d.steps == steps and d.statistic is not None}

    def __getitem__(self, key: str) -> Detector:
        return next(detector for detector in self.rows if detector.key == key)


def detectors(
    network: TextToImage,
    harmless: detection.UpdateNorms,
    *,
    layer: int,
    product: Product = "difference",
    tiles: int = 4,
    probes: int = 4,
    several: bool = True,
    seed: int = 0,
) -> Detectors:
    """All detectors of the book for a model.

    Args:
        network: the model.
        harmless: lengths of sampling steps under harmless captions, for Huang's statistic.
        layer: cross-attention layer of Ren's local entropy; 3 for Stable Diffusion 1.4.
        product: with the Jacobian, see `memlib.detection`.
        tiles: to a side of an image, for Carlini's distance.
        probes: random directions of the curvature maps; 16 as published.
        several: whether captions have several samples, which Carlini's distance needs.
        seed: of these directions.

    Raises:
        ValueError: the model has no such layer.
    """
    count = sum(name.endswith("attn2.processor") for name in network.unet.attn_processors)
    if not 0 <= layer < count:
        raise ValueError(f"layer must lie in [0, {count - 1}] for {network.source}, got {layer}")
    entropies = {f"entropy_{i}": detection.LayerEntropy(i) for i in range(count)}
    five = detection.UpdateNorms(harmless.mean[:5], harmless.deviation[:5])
    steps = len(harmless.mean)
    every = (
        Detector("wen", "Wen", 1, detection.ScoreDifferenceNorm(1)),
        Detector("wen", "Wen", 5, detection.ScoreDifferenceNorm(5)),
        Detector("wen", "Wen", None, detection.ScoreDifferenceNorm(steps)),
        Detector("jeon", "Jeon (the paper)", 1, detection.SharpnessGain(product)),
        Detector("gap", "gap", 1, detection.HessianScoreGap(product)),
        Detector("asthana", "Asthana", 1, None),
        Detector("ren_layer", "Ren LE", 1, entropies[f"entropy_{layer}"]),
        Detector("ren_attention", "Ren AE", None, detection.AttentionEntropy()),
        Detector("chen", "Chen", None, detection.BrightEnding()),
        *([Detector("carlini", "Carlini", None, detection.TiledDistance(tiles))] if several else []),
        Detector("kim", "Kim", None, detection.CurvatureDifference(probes, seed=seed)),
        Detector("kim_alone", "Kim, alone", None, detection.Curvature(probes, seed=seed)),
        Detector("kim_proxy", "Kim, proxy", None, detection.LateScoreDifference()),
        Detector("huang", "Huang", 5, five),
        Detector("huang", "Huang", None, harmless),
    )
    parts: dict[str, detection.Statistic] = {"cosine_1": detection.Anisotropy(1.0, 0.0)}
    rows = tuple(row for row in every if row.steps != 5 or steps > 5)
    return Detectors(rows, parts | entropies, tuple(entropies))


def calibrated(
    network: TextToImage, known: PromptSet, captions: int, noise: Float[Tensor, "n ..."], **sampling: Any
) -> detection.UpdateNorms:
    """Lengths of sampling steps under the first harmless captions of a set."""
    some = network.encode(known.texts(known.first({known.calibration: captions})))
    return detection.UpdateNorms.calibrate(generate(network, some, noise, **sampling))


def measured(
    network: TextToImage,
    known: PromptSet,
    found: Detectors,
    *,
    first: Sequence[int],
    whole: Sequence[int],
    noise: Float[Tensor, "n ..."],
    whole_seeds: int,
    first_seeds: int | None = None,
    **sampling: Any,
) -> Scores:
    """Every detector on a set of prompts.

    Args:
        network: the model.
        known: the prompts.
        found: the detectors.
        first: places of the prompts of the first step.
        whole: of those followed further; the first seeds to the end, the others for five steps.
        noise: the seeds.
        whole_seeds: how many are followed to the end.
        first_seeds: how many are taken for the first step; None takes all.
        sampling: `steps`, `guidance` and `rows` of `memlib.detection.measure`.
    """

    def encoded(places: Sequence[int]) -> Prompts:
        return network.encode(known.texts(places))

    def measure(prompts: Prompts, seeds: Tensor, statistics: Mapping[str, Any]) -> dict[str, Tensor]:
        return detection.measure(network, prompts, seeds, statistics, **sampling)

    values = {
        key: known.placed(first, numbers)
        for key, numbers in measure(encoded(first), noise[:first_seeds], found.at(1) | found.parts).items()
    }
    prompts, five = encoded(whole), found.at(5)
    followed = measure(prompts, noise[:whole_seeds], found.at(None) | five)
    if five and len(noise) > whole_seeds:
        more = measure(prompts, noise[whole_seeds:], five)
        followed |= {key: torch.cat([followed[key], more[key]], dim=1) for key in five}
    values |= {key: known.placed(whole, numbers) for key, numbers in followed.items()}
    sigma = network.schedule.sigma(torch.tensor(network.timesteps(sampling["steps"])[0])).item()
    values["length_1"] = values["wen_1"] / sigma
    higher_is_memorized = {
        d.key: d.statistic.higher_is_memorized for d in found.rows if d.statistic is not None
    }
    # Asthana's statistic is weighted for each question, on captions set apart for it.
    return Scores(
        known,
        values,
        higher_is_memorized | dict.fromkeys(found.layers, True) | {"asthana_1": True},
        {"asthana_1": ("cosine_1", "length_1")},
    )


def every_value(scores: Scores, places: Sequence[int]) -> pd.DataFrame:
    """A row for every caption at `places` and seed, with what was measured of it."""
    import pandas as pd

    known, seeds = scores.prompts, max(numbers.shape[1] for numbers in scores.values.values())
    parts = []
    for place in places:
        padded = {
            name: np.pad(numbers[place], (0, seeds - numbers.shape[1]), constant_values=np.nan)
            for name, numbers in scores.values.items()
        }
        parts.append(
            pd.DataFrame(padded).assign(
                caption=place,
                family=known.families[place],
                copies=known.copies[place],
                seed=np.arange(seeds),
            )
        )
    return pd.concat(parts, ignore_index=True)


Rows = list[dict[str, Any]]
Key = tuple[str, str, int]
"""Name of a question, key of a detector, number of seeds."""


def judged(
    run: Run, scores: Scores, found: Detectors, counts: Sequence[int], *, seed: int = 0
) -> dict[Key, Evaluation]:
    """How every detector answers every question at several numbers of seeds; areas and rates are recorded."""
    evaluations: dict[Key, Evaluation] = {}
    for question, detector, count in product(scores.prompts.questions, found.rows, counts):
        fits = count <= scores.seeds(detector.key) and (count > 1 or detector.method != "carlini")
        if fits:
            done = scores.judge(question, detector.key, count, seed=seed)
            evaluations[question.name, detector.key, count] = done
            about = f"{detector.key.replace('_', ' ')}, {question.words}, n = {count}"
            name = f"{question.name}_{detector.key}_{count}"
            run.record(f"auc_{name}", done.auc, about=f"AUC of {about}")
            run.record(f"tpr_{name}", done.tpr, about=f"TPR at {done.fpr:.3f} FPR of {about}")
    return evaluations


def table(
    run: Run, evaluations: Mapping[Key, Evaluation], question: Question, found: Detectors, steps: int
) -> Rows:
    """Table 1 for one question, with what was published beside it; saved as `table_<question>`."""
    rows = [
        {"statistic": detector.words(steps), "n": count, "AUC": done.auc, "TPR": done.tpr, "FPR": done.fpr}
        | reported.columns(detector.method, detector.steps or 50, count)
        for detector in found.rows
        for (asked, key, count), done in evaluations.items()
        if (asked, key) == (question.name, detector.key)
    ]
    about = f"AUC and TPR of every statistic, {question.words}"
    tables.tabulate(run, f"table_{question.name}", rows, about=about)
    return rows


def equivalences(
    run: Run,
    scores: Scores,
    found: Detectors,
    pairs: Sequence[tuple[str, int, str, int]],
    questions: Sequence[Question],
    *,
    steps: int,
    seed: int = 0,
) -> Rows:
    """Whether pairs of detectors do equally well on the captions that both were measured at.

    Args:
        run: records and saves the differences, as `differences`.
        scores: of all detectors.
        found: the detectors.
        pairs: key and number of seeds of the first and of the second.
        questions: to answer.
        steps: of a whole sample.
        seed: of the bootstraps over captions, which the areas do not use.

    Returns:
        For each question and pair the two areas, their difference, what follows (see
        `companion.prompts.equivalence`), the power, and the factor of captions that gives a power of 0.8.
    """
    rows = []
    for question, (one, n_one, other, n_other) in product(questions, pairs):
        among = scores.places(one, other)
        first, second = (
            scores.judge(question, key, count, among=among, seed=seed)
            for key, count in ((one, n_one), (other, n_other))
        )
        compared = equivalence(first, second)
        rows.append(
            {
                "key": f"{question.name}_{one}_{n_one}_less_{other}_{n_other}",
                "question": question.words,
                "first": f"{found[one].words(steps)}, n = {n_one}",
                "second": f"{found[other].words(steps)}, n = {n_other}",
                "memorized": int(first.labels.sum()),
                "others": int((~first.labels).sum()),
                "AUC of the first": first.auc.value,
                "AUC of the second": second.auc.value,
                "difference": compared.difference,
                "outcome": compared.outcome,
                "power": compared.power,
                "times": compared.times,
            }
        )
    record = {
        "difference": ("auc_{key}", "AUC of {first}, less {second}; {question}, on the same captions"),
        "power": ("power_{key}", "Chance to show two equal detectors equivalent: {first}, {second}"),
    }
    about = "Paired differences of AUC, and whether they are smaller than the margin"
    tables.tabulate(run, "differences", rows, about=about, record=record)
    return rows
