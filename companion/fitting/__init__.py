"""Training of small networks that resumes after any stop: diffusion networks and a classifier."""

from companion.fitting.classifier import Classifier, ClassifierConfig, classify, train_classifier
from companion.fitting.denoising import TrainingConfig, train
from companion.fitting.loop import FitConfig, TrainingResult, read_average
from companion.fitting.losses import score_matching_errors, score_matching_loss

__all__ = [
    "Classifier",
    "ClassifierConfig",
    "FitConfig",
    "TrainingConfig",
    "TrainingResult",
    "classify",
    "read_average",
    "score_matching_errors",
    "score_matching_loss",
    "train",
    "train_classifier",
]
