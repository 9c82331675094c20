"""Data sets that ship with the repository, verified on every load."""

from companion.datasets import cifar10, mnist
from companion.datasets.files import DataError

__all__ = ["DataError", "cifar10", "mnist"]
