"""Small diffusion networks, their training, and their checkpoints."""

from memlib.networks.checkpoint import Checkpoint, CheckpointError, load_checkpoint, save_checkpoint
from memlib.networks.classifier import Classifier, ClassifierConfig, classify
from memlib.networks.fitting import FitConfig, TrainingResult
from memlib.networks.losses import score_matching_errors, score_matching_loss
from memlib.networks.mlp import MLP, MLPConfig
from memlib.networks.model import DiffusionModel
from memlib.networks.training import TrainingConfig, train
from memlib.networks.unet import UNet, UNetConfig

__all__ = [
    "MLP",
    "Checkpoint",
    "CheckpointError",
    "Classifier",
    "ClassifierConfig",
    "DiffusionModel",
    "FitConfig",
    "MLPConfig",
    "TrainingConfig",
    "TrainingResult",
    "UNet",
    "UNetConfig",
    "classify",
    "load_checkpoint",
    "save_checkpoint",
    "score_matching_errors",
    "score_matching_loss",
    "train",
]
