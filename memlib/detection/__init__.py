"""Detection of memorized prompts: statistics from papers, one a file, and how well they separate."""

from memlib.detection.evaluation import Comparison, Evaluation, compare, evaluate

__all__ = ["Comparison", "Evaluation", "compare", "evaluate"]
