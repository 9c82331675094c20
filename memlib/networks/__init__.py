"""Small diffusion networks and their checkpoints."""

from memlib.networks.checkpoint import Checkpoint, CheckpointError, load_checkpoint, save_checkpoint
from memlib.networks.mlp import MLP, MLPConfig
from memlib.networks.model import DiffusionModel
from memlib.networks.unet import UNet, UNetConfig

__all__ = [
    "MLP",
    "Checkpoint",
    "CheckpointError",
    "DiffusionModel",
    "MLPConfig",
    "UNet",
    "UNetConfig",
    "load_checkpoint",
    "save_checkpoint",
]
