"""The paper's toy (figure 1): a plane with one tiny mode that holds 5 % of the mass, and one broad mode.

The paper gives the proportions, the 3,000 samples and the second-order loss; positions and covariances are
ours.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from companion.fitting.denoising import TrainingConfig
from companion.fitting.loop import Draw
from companion.recipes.drawing import with_replacement
from companion.recipes.recipe import Recipe
from memlib.mixture import GaussianMixture
from memlib.networks.mlp import MLP, MLPConfig

TINY, BROAD = 0, 1
WEIGHTS, POSITIONS, DEVIATIONS = (0.05, 0.95), ((-1.0, 0.0), (1.0, 0.0)), (0.001, 0.4)
SAMPLES, SAMPLE_SEED = 3000, 2412
COPY_RADIUS = 0.05
"""A sample nearer than this to the tiny mode is a copy."""


def two_modes() -> GaussianMixture:
    """The mixture itself: component 0 is the tiny (memorized) mode, component 1 the broad (general) one."""
    return GaussianMixture(torch.tensor(WEIGHTS), torch.tensor(POSITIONS), torch.tensor(DEVIATIONS).square())


def training_set() -> Tensor:
    """The 3,000 points `(3000, 2)` float32 the network is trained on."""
    return two_modes().sample(SAMPLES, torch.Generator().manual_seed(SAMPLE_SEED)).float()


def _draw() -> Draw:
    return with_replacement(training_set())


def _data() -> dict[str, Any]:
    return {
        "set": "two-mode Gaussian mixture",
        "weights": WEIGHTS,
        "means": POSITIONS,
        "standard deviations": DEVIATIONS,
        "samples": SAMPLES,
        "seed": SAMPLE_SEED,
    }


TWO_MODES = Recipe(
    name="two_modes",
    about="Plane: a tiny mode at 5 % beside a broad one, 3,000 points, "
    "first- and second-order score matching",
    network=lambda: MLP(MLPConfig()),
    draw=_draw,
    data=_data,
    training=TrainingConfig(steps=15000, batch=256, learning_rate=1e-3, second_order=0.5, projections=0),
)
