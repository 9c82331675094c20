"""Statistics by the names under which a command line knows them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast, get_args

from memlib import detection
from memlib.detection import Statistic
from memlib.hessian import Product
from memlib.text_to_image import TextToImage, check_product

STATISTICS: dict[str, str] = {
    "wen": "norm of the score difference, a mean over the first --average-steps",
    "jeon": "the paper's: squared norm of its Jacobian times the difference itself, at the first step",
    "gap": "squared norm of the difference of the two products H s, at the first step",
    "ren_layer": "entropy of the attention of layer 3 at the first step",
    "ren_attention": "entropy of the attention over the last fifth of the steps",
    "chen": "score difference where the end mark is attended to, all steps",
    "kim": "mean difference of curvatures at the last step, all steps",
    "carlini": "distance between images of one prompt, all steps, two seeds or more",
}
"""Name, of a paper's first author, -> what it is, for those that need no fit to labelled prompts."""


def default_product(model: TextToImage) -> Product:
    """Forward differences where the precision allows them, the cheapest; else products in reverse mode."""
    try:
        check_product(model, "difference")
    except ValueError:
        return "vjp"
    return "difference"


def product_named(name: str) -> Product:
    """A product with the Jacobian, or `ValueError` for another name."""
    if name not in get_args(Product):
        raise ValueError(f"product must be one of {', '.join(get_args(Product))}, got {name!r}")
    return cast("Product", name)


def statistics(names: Sequence[str], *, average_steps: int, product: Product) -> dict[str, Statistic]:
    """Statistics by name.

    Args:
        names: keys of `STATISTICS`.
        average_steps: the number of first steps that "wen" averages.
        product: how "jeon" and "gap" multiply with Jacobians.

    Raises:
        ValueError: none, an unknown or a repeated name.
    """
    known: dict[str, Callable[[], Statistic]] = {
        "wen": lambda: detection.ScoreDifferenceNorm(average_steps),
        "jeon": lambda: detection.SharpnessGain(product),
        "gap": lambda: detection.HessianScoreGap(product),
        "ren_layer": detection.LayerEntropy,
        "ren_attention": detection.AttentionEntropy,
        "chen": detection.BrightEnding,
        "kim": detection.CurvatureDifference,
        "carlini": detection.TiledDistance,
    }
    if unknown := [name for name in names if name not in known]:
        hint = " (asthana and huang are fitted to labelled prompts first: see memlib.detection)"
        raise ValueError(f"no statistic is called {unknown[0]!r}{hint}; there are {', '.join(known)}")
    if not names or len(set(names)) < len(names):
        raise ValueError(f"one or more different statistics expected, got {list(names)}")
    return {name: known[name]() for name in names}
