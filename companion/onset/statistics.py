"""What is measured of one network of a ladder, at the same points with the same noise at each rung."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from companion import measures
from companion.images import radial_power
from memlib import copies, hessian
from memlib.hessian import JacobianOperator
from memlib.networks import DiffusionModel
from memlib.sampling import ddim, model_score
from memlib.score import score_at


@dataclass(frozen=True)
class Settings:
    """What is measured, and how finely.

    Attributes:
        samples: drawn, all from the same noises at every rung.
        steps: of DDIM.
        losses: times at which the loss is measured.
        images: training images, and held-out ones, whose losses are measured.
        times: at which the curvature is measured.
        points: training images, held-out images and samples at each time.
        probes: random directions of each trace, count and dimension.
        krylov: Lanczos steps from each.
        smallest: Lanczos steps behind the smallest eigenvalue.
        middle: the time of smallest eigenvalues and of whole spectra.
        fine: cycles per image from which on power counts as fine detail.
    """

    samples: int = 128
    steps: int = 25
    losses: tuple[int, ...] = (20, 50, 100, 200, 400, 700)
    images: int = 64
    times: tuple[int, ...] = (50, 100, 200)
    points: int = 16
    probes: int = 2
    krylov: int = 8
    smallest: int = 16
    middle: int = 100
    fine: int = 4


SETTINGS = Settings()
"""Those of the recorded ladder, chosen before any of it was trained."""


def measure(
    model: DiffusionModel,
    training: Float[Tensor, "N C W W"],
    held_out: Float[Tensor, "M C W W"],
    settings: Settings = SETTINGS,
    *,
    spectrum: bool = False,
) -> dict[str, Any]:
    """All statistics of one network, as lists that JSON can hold, of five digits.

    Args:
        model: the network.
        training: its training images.
        held_out: images of the same kind that it has not seen.
        settings: how finely.
        spectrum: add the whole spectrum at the first training and the first held-out image.

    Returns:
        `ratio`, `nearest` and `detail` of each sample: nearest over second nearest distance, the number of
        the nearest training image, mean power at fine detail. `loss`: training or held_out -> time -> image.
        `points`: training, held_out or generated -> statistic of `companion.measures.unconditional` -> time
        -> point. `smallest`: training or held_out -> scaled smallest eigenvalue at each point. `stable_rank`:
        weight -> its value. `spectrum`: training or held_out -> scaled eigenvalues of the symmetric part.
    """
    noise = torch.randn(settings.samples, *training.shape[1:], generator=torch.Generator().manual_seed(0))
    samples = ddim(model_score(model), model.schedule, noise, steps=settings.steps).samples
    found = copies.nearest(samples, training, groups=copies.twins(training))
    images = {"training": training[: settings.images], "held_out": held_out[: settings.images]}
    points = {name: of[: settings.points] for name, of in images.items()}
    everything = {
        "ratio": found.ratio,
        "nearest": found.index,
        "detail": torch.from_numpy(radial_power(samples)[:, settings.fine - 1 :].mean(1)),
        "loss": {name: [_loss(model, of, t) for t in settings.losses] for name, of in images.items()},
        "points": {
            name: _curvature(model, of, settings)
            for name, of in (points | {"generated": samples[: settings.points]}).items()
        },
        "smallest": {name: _smallest(model, of, settings) for name, of in points.items()},
        "stable_rank": stable_ranks(model.network),
    }
    if spectrum:
        everything["spectrum"] = {name: _spectrum(model, of[:1], settings) for name, of in points.items()}
    return _plain(everything)  # type: ignore[no-any-return]


def stable_ranks(network: nn.Module) -> dict[str, float]:
    """||W||_F^2 / ||W||_2^2 of every weight as a matrix `(outputs, rest)`; those that are zero are left out.

    Example:
        >>> round(stable_ranks(nn.Linear(3, 3))["weight"], 6) <= 3
        True
    """
    found = {}
    for name, weight in network.named_parameters():
        if weight.ndim < 2 or not bool(weight.any()):
            continue
        values = torch.linalg.svdvals(weight.detach().flatten(1).double())
        found[name] = (values.square().sum() / values[0].square()).item()
    return found


def _loss(model: DiffusionModel, images: Tensor, t: int) -> Tensor:
    """Mean square of sigma s(x_t) + eps, the loss of a noise prediction."""
    score, x = score_at(model, t), measures.noised(images, model, t, t)
    noise = measures.noised(torch.zeros_like(images), model, t, t) / score.sigma
    with torch.no_grad():
        return (score.sigma * score(x) + noise).flatten(1).double().square().mean(1)


def _curvature(model: DiffusionModel, images: Tensor, settings: Settings) -> dict[str, list[Tensor]]:
    found: dict[str, list[Tensor]] = {}
    for t in settings.times:
        x, source = measures.noised(images, model, t, t), torch.Generator().manual_seed(t)
        each = measures.unconditional(model, x, t, settings.probes, settings.krylov, source)
        for name, values in each.items():
            found.setdefault(name, []).append(values)
    return found


def _smallest(model: DiffusionModel, images: Tensor, settings: Settings) -> Tensor:
    score = score_at(model, settings.middle)
    x = measures.noised(images, model, settings.middle, settings.middle)
    with JacobianOperator(score, x, product="symmetric") as op:
        return hessian.lanczos(op, settings.smallest, k=1).eigenvalues[:, 0] * score.sigma**2


def _spectrum(model: DiffusionModel, image: Tensor, settings: Settings) -> Tensor:
    score = score_at(model, settings.middle)
    x = measures.noised(image, model, settings.middle, settings.middle)
    with JacobianOperator(score, x) as op:
        return hessian.dense(op).eigenvalues[0] * score.sigma**2


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(of) for name, of in value.items()}
    if isinstance(value, Tensor):
        return _plain(value.tolist())
    if isinstance(value, list):
        return [_plain(of) for of in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value
