"""How each shipped checkpoint is trained: `RECIPES[name].train(folder)`."""

from typing import Any

from companion.recipes.cifar10 import CIFAR10
from companion.recipes.classifier import DIGIT_CLASSIFIER
from companion.recipes.dose import MNIST_DOSE
from companion.recipes.fine_tunes import FINE_TUNES
from companion.recipes.mixture import TWO_MODES
from companion.recipes.mnist import MNIST_COPIES, MNIST_FIRST_ORDER, MNIST_SECOND_ORDER, MNIST_UNDERTRAINED
from companion.recipes.onset import ONSET
from companion.recipes.organism import ORGANISM
from companion.recipes.photographs import PHOTOGRAPHS
from companion.recipes.recipe import AnyRecipe

_MNIST = (MNIST_COPIES, MNIST_UNDERTRAINED, MNIST_FIRST_ORDER, MNIST_SECOND_ORDER)
_NETWORKS: tuple[AnyRecipe[Any], ...] = (TWO_MODES, *_MNIST, *MNIST_DOSE, DIGIT_CLASSIFIER, *CIFAR10, *ONSET)
RECIPES: dict[str, AnyRecipe[Any]] = {
    **{recipe.name: recipe for recipe in _NETWORKS},
    **ORGANISM,
    **PHOTOGRAPHS,
    **{recipe.name: recipe for recipe in FINE_TUNES.values()},
}

__all__ = ["RECIPES"]
