"""What the second-order loss does in the plane, where the exact Hessian is known: an ablation.

The loss is that of the paper's appendix A.1 (`companion.fitting.losses`). Its weight, its random directions,
and what the same time buys without it are varied over several trainings, each against the exact mixture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from companion import effects
from companion.recipes.mixture import TWO_MODES, two_modes
from memlib.hessian import JacobianOperator, dense
from memlib.networks.model import DiffusionModel
from memlib.score import score_at

BATCH, POINTS = 128, 500
ERRORS = {"score error": "score", "Hessian error": "hessian", "asymmetry": "asymmetry"}
"""What is measured of a network -> its name in recorded numbers."""


@dataclass(frozen=True)
class Variant:
    """One way to train.

    Attributes:
        key: its name in recorded numbers.
        about: its name for readers.
        weight: of the second-order loss; 0 leaves it out.
        projections: random directions behind that loss; 0 takes the whole Jacobian.
        longer: times the steps of the others.
    """

    key: str
    about: str
    weight: float = 0.0
    projections: int = 0
    longer: int = 1


def variants(weights: Sequence[float], longer: int) -> list[Variant]:
    """The plain loss, for the same and for `longer` times as many steps, and the second-order loss.

    Args:
        weights: of the second-order loss with the whole Jacobian; the first also with one random direction.
        longer: how many plain steps the time of a second-order one buys.
    """
    one = weights[0]
    keys = ["whole", *(f"weight_{weight:g}".replace(".", "p") for weight in weights[1:])]
    return [
        Variant("plain", "plain"),
        Variant("longer", f"plain, {longer} times the steps", longer=longer),
        Variant("direction", f"weight {one:g}, one random direction", one, 1),
        *(Variant(key, f"weight {w:g}, whole Jacobian", w) for key, w in zip(keys, weights, strict=True)),
    ]


def errors(model: DiffusionModel, times: Sequence[int], generator: torch.Generator) -> pd.DataFrame:
    """Relative errors of score and Hessian, and asymmetry of the Jacobian, at points of the exact density.

    Args:
        model: a network of the plane.
        times: time indices, a row each.
        generator: of the points.
    """
    rows = []
    for t in times:
        exact = two_modes().diffused(model.schedule.alpha(t), model.schedule.sigma(t))
        x, score = exact.sample(POINTS, generator), score_at(model, t)
        jacobian = dense(JacobianOperator(score, x.float())).matrices
        with torch.no_grad():
            wrong = score(x.float()).double() - exact.score(x)
        hessian = exact.hessian(x)
        skew = jacobian - jacobian.mT
        rows.append(
            {
                "t": t,
                "score error": (wrong.norm() / exact.score(x).norm()).item(),
                "Hessian error": ((jacobian - hessian).norm() / hessian.norm()).item(),
                "asymmetry": (skew.norm() / jacobian.norm()).item(),
            }
        )
    return pd.DataFrame(rows)


def ablation(
    chosen: Sequence[Variant], trainings: int, steps: int, times: Sequence[int], folder: Path
) -> pd.DataFrame:
    """Train every variant several times and measure each network at the same points.

    Networks of one training share their initial weights and, step by step, the draws of images, times and
    noises, so that variants pair. A training that was cut short goes on from its state in `folder`.

    Args:
        chosen: ways to train.
        trainings: seeds of weights and draws.
        steps: of training.
        times: at which a network is measured.
        folder: where checkpoints are kept.

    Returns:
        A row for each variant, training and time: `key`, `variant`, `training`, `t`, and the errors.
    """
    parts = []
    for variant in chosen:
        for training in range(trainings):
            recipe = TWO_MODES.with_training(
                steps=steps * variant.longer, batch=BATCH, warmup=max(1, steps // 10), average_decay=0.99,
                second_order=variant.weight, projections=variant.projections, seed=training,
            )  # fmt: skip
            model = recipe.train(folder / f"{variant.key}-{training}").model
            found = errors(model, times, torch.Generator().manual_seed(training))
            parts.append(found.assign(key=variant.key, variant=variant.about, training=training))
    return pd.concat(parts, ignore_index=True)


def ratios(found: pd.DataFrame, base: str, level: float = 0.95) -> list[dict[str, object]]:
    """Errors over those of `base` in the same training: geometric means over times, then over trainings.

    Args:
        found: what `ablation` gives.
        base: key of the variant to compare with.
        level: coverage of the intervals, over trainings.

    Returns:
        A row for each other variant: `key`, `variant`, `base`, and the ratio of each error as an interval.
    """
    logs = found.assign(**{name: np.log(found[name]) for name in ERRORS})
    each = logs.groupby(["key", "variant", "training"], sort=False)[list(ERRORS)].mean().reset_index()
    against = each[each["key"] == base].set_index("training")[list(ERRORS)]
    rows = []
    for (key, variant), part in each[each["key"] != base].groupby(["key", "variant"], sort=False):
        change = np.exp(part.set_index("training")[list(ERRORS)] - against)
        row = {name: effects.geometric_mean(change[name], level=level) for name in ERRORS}
        rows.append({"key": key, "variant": variant, "base": base} | row)
    return rows
