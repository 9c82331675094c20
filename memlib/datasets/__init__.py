"""Data sets that ship with the repository, verified on every load; CIFAR-10 in full comes by download."""

from memlib.datasets import cifar10, mnist
from memlib.datasets.files import DataError, data_root

__all__ = ["DataError", "cifar10", "data_root", "mnist"]
