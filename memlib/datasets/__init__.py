"""Data sets that ship with the repository, verified on every load."""

from memlib.datasets import mnist
from memlib.datasets.files import DataError, data_root

__all__ = ["DataError", "data_root", "mnist"]
