"""What samples of a network tell of its training set: copies, quality, agreement with another network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from companion import effects, measures
from companion.images import correlation, eight_bits, radial_power
from memlib import copies, intervals, sharpness
from memlib.audit.noised import complexity
from memlib.copies import Neighbours
from memlib.hessian import DenseSpectrum, SpectralDensity
from memlib.intervals import Interval
from memlib.networks import DiffusionModel
from memlib.score import score_at

FINE = 8
"""Cycles per image from which on power counts as fine detail."""


def copy_shares(found: Neighbours, held_out: Neighbours) -> dict[str, Any]:
    """How many samples are copies by two thresholds, and how far they lie from the training images.

    Args:
        found: the nearest training images of the samples.
        held_out: those of real images that the network has not seen.

    Returns:
        `ratio`, the calibrated threshold; shares of samples with intervals: `copied` by the ratio of a third,
        `copied_calibrated`, `too_near` and `too_far`, nearer or farther than 97.5 % of the held-out images;
        `false`, the share of held-out images that the ratio of a third calls copies; and the medians
        `distance` and `held-out distance`.
    """
    threshold = copies.allowed_ratio(held_out)
    lowest, highest = torch.quantile(held_out.distance, torch.tensor([0.025, 0.975]).double()).tolist()
    shares = {
        "copied": copies.is_copy(found),
        "copied_calibrated": copies.is_copy(found, ratio=threshold),
        "too_near": found.distance < lowest,
        "too_far": found.distance > highest,
        "false": copies.is_copy(held_out),
    }
    return (
        {"ratio": threshold}
        | {name: intervals.proportion(share) for name, share in shares.items()}
        | {"distance": found.distance.median().item(), "held-out distance": held_out.distance.median().item()}
    )


def quality(
    samples: Float[Tensor, "B C W W"], held_out: Float[Tensor, "N C W W"], *, seed: int = 0
) -> dict[str, Interval]:
    """Fine detail and colours of samples over those of held-out images, where 1 means no difference.

    Args:
        samples: square images that a network drew.
        held_out: real images of the same size.
        seed: of the bootstrap behind the intervals.

    Returns:
        `detail`, the ratio of median powers at `FINE` cycles per image or more, and `colour`, the ratio of
        the mean spreads of the colours of a pixel.
    """
    power, real = (radial_power(images)[:, FINE - 1 :].mean(1) for images in (samples, held_out))
    spread, real_spread = (images.std(1).mean((1, 2)) for images in (samples, held_out))
    return {
        "detail": effects.ratio(power, real, np.median, seed=seed),
        "colour": effects.ratio(spread, real_spread, np.mean, seed=seed),
    }


def beside_whole_spectra(
    whole: DenseSpectrum, density: SpectralDensity, sigma: float
) -> list[dict[str, Any]]:
    """Statistics from whole spectra, and their estimates from the density of the symmetric part.

    Args:
        whole: the spectra of B samples.
        density: the estimate at the same samples, from 4 random directions.
        sigma: of the noise at this time.

    Returns:
        A row for each of `tr_h`, `count`, `local_dimension` and each sample: `name`, `sample`, the `whole`
        value, and `estimate` with its interval; in units of sigma.
    """
    eigenvalues, variance = whole.eigenvalues.cpu(), sigma**2
    both = {
        "tr_h": (-variance * sharpness.trace(eigenvalues), density.trace_of(lambda v: -variance * v)),
        "count": (sharpness.nonnegative_count(eigenvalues).double(), density.count_above(0.0)),
        "local_dimension": (
            sharpness.local_dimension(eigenvalues, sigma),
            sharpness.estimated_dimension(density, sigma),
        ),
    }
    rows = []
    for name, (truth, slow) in both.items():
        for k, bounds in enumerate(zip(*slow.interval(), strict=True)):
            low, high = map(float, bounds)
            estimate = Interval(slow.value[k].item(), low, high, 0.95, 4)
            rows.append({"name": name, "sample": k, "whole": truth[k].item(), "estimate": estimate})
    return rows


def correlations(
    ours: Float[Tensor, "B C H W"],
    theirs: Float[Tensor, "B C H W"],
    nearest: Float[Tensor, "B C H W"],
    others: Float[Tensor, "N C H W"],
) -> dict[str, Interval]:
    """Mean correlation of samples with those of a second network, and with training images of both.

    Args:
        ours: samples of a network.
        theirs: samples of the second network, from the same noises.
        nearest: the training image of the first network that is nearest to each of its samples.
        others: the training images of the second network, none of which the first has seen.

    Returns:
        `same_noise`; `other_noise`, pairs from different noises; `nearest_image`; and
        `nearest_image_of_the_other_half`.
    """
    partners = {
        "same_noise": theirs,
        "other_noise": theirs.roll(1, 0),
        "nearest_image": nearest,
        "nearest_image_of_the_other_half": others[copies.nearest(ours, others).index],
    }
    return {name: intervals.mean(correlation(ours, images)) for name, images in partners.items()}


def denoising(
    model: DiffusionModel,
    other: DiffusionModel | None,
    t: int,
    held_out: Float[Tensor, "B C H W"],
    seen: Float[Tensor, "S C H W"],
    noise: Float[Tensor, "N C H W"],
    *,
    seed: int = 0,
) -> dict[str, Any]:
    """Denoising errors on images that a network has seen and has not, and its disagreement with another one.

    Args:
        model: the network with its schedule.
        other: a network on other images; None leaves the disagreement out.
        t: time index.
        held_out: images that no network has seen.
        seen: training images.
        noise: of the images, from the first on.
        seed: of the bootstrap behind the interval of `gap`.

    Returns:
        The mean `error` on held-out images; `gap`, that error over the one on seen images; `disagreement`,
        the squared difference of both networks over the sum of their squared errors, or None.
    """
    ours, error = measures.denoised(score_at(model, t), held_out, noise)
    _, of_seen = measures.denoised(score_at(model, t), seen, noise)
    disagreement = None
    if other is not None:
        theirs, their_error = measures.denoised(score_at(other, t), held_out, noise)
        disagreement = intervals.mean(measures.squared_error(ours, theirs) / (error + their_error))
    gap = effects.ratio(error, of_seen, seed=seed)
    return {"error": error.mean().item(), "gap": gap, "disagreement": disagreement}


def areas(
    judging: Mapping[tuple[int, int, str], Tensor],
    questions: Mapping[str, Mapping[int, Bool[Tensor, " n"]]],
    times: Iterable[int],
) -> dict[tuple[str, int, str], Interval]:
    """How well every statistic tells the samples marked by a question from its other samples.

    Args:
        judging: size of the training set, t, name of the statistic -> numbers that should be higher for
            marked samples, one for each sample of the network.
        questions: name -> by size, which of the first n samples are marked.
        times: time indices.

    Returns:
        Question, t, statistic -> area under the ROC curve.
    """
    names = dict.fromkeys(name for _, _, name in judging)
    found = {}
    for question, marks in questions.items():
        label = torch.cat(list(marks.values()))
        for t in times:
            for name in names:
                values = torch.cat([judging[size, t, name][: len(of)] for size, of in marks.items()])
                found[question, t, name] = intervals.auc(values[label], values[~label])
    return found


def complexities(images: Float[Tensor, "B C H W"]) -> NDArray[np.float64]:
    """Bits a pixel of images in [-1, 1] as PNG, `(B,)`."""
    pictures = eight_bits(images.permute(0, 2, 3, 1))
    return np.array([complexity(Image.fromarray(one), *one.shape[:2]) for one in pictures])


def beyond_complexity(
    values: NDArray[np.float64],
    of_values: NDArray[np.float64],
    reference: NDArray[np.float64],
    of_reference: NDArray[np.float64],
) -> NDArray[np.float64]:
    """What the complexity of images does not explain of a statistic: values less a line in its logarithm.

    Args:
        values: `(B,)` of the images in question.
        of_values: `(B,)` complexities of these, positive.
        reference: `(N,)` values of images that the network has not seen, to which the line is fitted.
        of_reference: `(N,)` complexities of these, not all the same.

    Returns:
        `(B,)`, in the units of the statistic.
    """
    slope, height = np.polyfit(np.log(of_reference), reference, 1)
    rest: NDArray[np.float64] = values - height - slope * np.log(of_values)
    return rest


def calibrated(
    values: Mapping[str, Float[Tensor, " B"]],
    images: Float[Tensor, "B C H W"],
    copied: Bool[Tensor, " B"],
    reference: Mapping[str, Float[Tensor, " N"]],
    unseen: Float[Tensor, "N C H W"],
) -> list[dict[str, Any]]:
    """How well statistics tell copies, as they are and less what the complexity of an image explains.

    Args:
        values: names of `measures.SIGNS` -> of B samples.
        images: the samples.
        copied: which of them are copies.
        reference: the same statistics of N images that the network has not seen.
        unseen: these images.

    Returns:
        For each statistic `key`, `statistic`, in words, and the areas under the ROC curve `AUC` and
        `calibrated`; last the complexity itself, of which a copy is taken to have less.
    """
    bits, theirs, label = complexities(images), complexities(unseen), copied.numpy()
    rows: list[dict[str, Any]] = []
    for name, some in values.items():
        plain = some.double().numpy()
        rest = beyond_complexity(plain, bits, reference[name].double().numpy(), theirs)
        told = {"AUC": plain, "calibrated": rest}
        areas = {key: intervals.auc(*_apart(measures.SIGNS[name] * of, label)) for key, of in told.items()}
        rows.append({"key": name, "statistic": measures.WORDS[name]} | areas)
    alone = intervals.auc(*_apart(-bits, label))
    return [*rows, {"key": "complexity", "statistic": "complexity", "AUC": alone, "calibrated": alone}]


def _apart(values: NDArray[np.float64], label: NDArray[np.bool_]) -> tuple[NDArray[np.float64], ...]:
    return values[label], values[~label]
