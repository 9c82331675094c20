"""Small diffusion networks, their training, and their checkpoints."""

from memlib.networks.checkpoint import Checkpoint, CheckpointError, load_checkpoint, save_checkpoint
from memlib.networks.losses import score_matching_loss
from memlib.networks.mlp import MLP, MLPConfig
from memlib.networks.model import DiffusionModel
from memlib.networks.training import TrainingConfig, TrainingResult, train
from memlib.networks.unet import UNet, UNetConfig

__all__ = [
    "MLP",
    "Checkpoint",
    "CheckpointError",
    "DiffusionModel",
    "MLPConfig",
    "TrainingConfig",
    "TrainingResult",
    "UNet",
    "UNetConfig",
    "load_checkpoint",
    "save_checkpoint",
    "score_matching_loss",
    "train",
]
