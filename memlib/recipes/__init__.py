"""How each shipped checkpoint is trained: `RECIPES[name].train(folder)`."""

from memlib.recipes.mixture import TWO_MODES
from memlib.recipes.mnist import MNIST_COPIES, MNIST_UNDERTRAINED
from memlib.recipes.recipe import Recipe

RECIPES = {recipe.name: recipe for recipe in (TWO_MODES, MNIST_COPIES, MNIST_UNDERTRAINED)}

__all__ = ["RECIPES", "Recipe"]
