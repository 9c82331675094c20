"""How each shipped checkpoint is trained: `RECIPES[name].train(folder)`."""

from memlib.recipes.cifar10 import CIFAR10
from memlib.recipes.dose import MNIST_DOSE
from memlib.recipes.mixture import TWO_MODES
from memlib.recipes.mnist import MNIST_COPIES, MNIST_FIRST_ORDER, MNIST_SECOND_ORDER, MNIST_UNDERTRAINED
from memlib.recipes.recipe import Recipe

_MNIST = (MNIST_COPIES, MNIST_UNDERTRAINED, MNIST_FIRST_ORDER, MNIST_SECOND_ORDER)
RECIPES = {recipe.name: recipe for recipe in (TWO_MODES, *_MNIST, *MNIST_DOSE, *CIFAR10)}

__all__ = ["RECIPES", "Recipe"]
