"""Data sets that ship with the repository, verified on every load; others come by download, verified too."""

from memlib.datasets import cifar10, mnist, prompts
from memlib.datasets.files import DataError, data_root
from memlib.datasets.prompts import PublishedPrompt, published

__all__ = ["DataError", "PublishedPrompt", "cifar10", "data_root", "mnist", "prompts", "published"]
